//! `weir pack`: asks a running weir, or reads and changes the files that one reads at its start.

mod client;

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use self::client::Client;
use crate::catalog::{Catalog, change, store, tree};
use crate::cli::{self, PackCommand};
use crate::config::read::text_of;
use crate::config::{self, Pipeline};
use crate::pack;

/// Who has the packs.
enum Site {
    Running(Client),
    Files(Box<Pipeline>),
}

/// Does what `weir pack` was told; returns what is to be printed, and what is to be said besides.
///
/// # Errors
/// Why it could not be done, as text for people that ends a line.
pub fn run(command: PackCommand) -> Result<(String, String), String> {
    match command {
        PackCommand::List { json, site } => {
            let list = Site::of(&site)?.list()?;
            Ok((if json { pretty(&list) } else { tree::list_text(&list) }, String::new()))
        }
        PackCommand::Show { id, json, site } => {
            let site = Site::of(&site)?;
            let ids = match id {
                Some(id) => vec![id],
                None => site.used()?,
            };
            let mut out = String::new();
            for id in ids {
                let shown = site.show(id.split('.').next().unwrap_or(&id))?;
                out.push_str(&if json { pretty(&shown) } else { tree::show_text(&shown, &id)? });
            }
            Ok((out, String::new()))
        }
        PackCommand::Export { id, site } => {
            let site = Site::of(&site)?;
            let id = one(id, site.used()?, "the pipeline uses")?;
            Ok((site.text(&id)?, String::new()))
        }
        PackCommand::Import { file, only, site } => {
            let path = pack::path_of(&file);
            if let Some(why) = change::vendors(&path) {
                return Err(why + "\n");
            }
            let name = path.display().to_string();
            let text = text_of(&path, "the pack", pack::FILE_BYTES_MAX);
            let text = text.map_err(|message| format!("{name}: {message}\n"))?;
            let site = Site::of(&site)?;
            let done = site.import(&name, &text, only.as_deref())?;
            let (id, version) = (word(&done, "id"), word(&done, "version"));
            let mut out = format!("{id} {version} imported, {} tests passed\n", done["tests"]);
            if done["used"] != true {
                out.push_str(&format!("the pipeline does not use it: `packs` has to name `{id}`\n"));
            }
            Ok((out, site.note()))
        }
        PackCommand::Enable { ids, shadow, site } => {
            switched(&ids, if shadow { "shadow" } else { "on" }, &Site::of(&site)?)
        }
        PackCommand::Disable { ids, site } => switched(&ids, "off", &Site::of(&site)?),
        PackCommand::Rollback { id, site } => {
            let site = Site::of(&site)?;
            let id = one(id, site.imported()?, "imported were")?;
            let done = site.roll_back(&id)?;
            let now = match (done["version"].as_str(), done["import"].as_u64()) {
                (Some(version), Some(number)) => format!("{version} of import {number} counts again"),
                (Some(version), None) => format!("{version} that is compiled in counts again"),
                (None, _) => "the pipeline does not use it".into(),
            };
            Ok((format!("{id}: import {} was rolled back, {now}\n", done["rolled_back"]), site.note()))
        }
    }
}

fn switched(ids: &[String], mode: &str, site: &Site) -> Result<(String, String), String> {
    let done = site.switch(ids, mode)?;
    let lost = if done["comments_kept"] == false { " (written anew, its comments are lost)" } else { "" };
    let out = format!("{}: {mode}\n{}{lost} says so\n", ids.join(", "), word(&done, "overlay"));
    Ok((out, site.note()))
}

/// The id that was given, or the only one there is.
fn one(id: Option<String>, all: Vec<String>, lead: &str) -> Result<String, String> {
    match (id, &all[..]) {
        (Some(id), _) => Ok(id),
        (None, [id]) => Ok(id.clone()),
        (None, []) => Err(format!("which pack? {lead} none\n")),
        (None, _) => Err(format!("which pack? {lead} {}\n", all.join(", "))),
    }
}

fn word<'j>(json: &'j Json, key: &str) -> &'j str {
    json[key].as_str().unwrap_or_default()
}

fn pretty(json: &Json) -> String {
    serde_json::to_string_pretty(json).expect("a tree is JSON") + "\n"
}

impl Site {
    fn of(args: &cli::Site) -> Result<Site, String> {
        let mut pipeline = match &args.pipeline {
            Some(path) => config::load(path).map_err(|problems| problems.to_string())?,
            None => Pipeline::default(),
        };
        if let Some(dir) = &args.state {
            pipeline.state.dir = text(dir).as_str().into();
            pipeline.overlay = text(&dir.join("overlay.yaml")).as_str().into();
            return Ok(Site::Files(Box::new(pipeline)));
        }
        let address = args.admin.unwrap_or(pipeline.admin);
        match Client::find(address)? {
            Some(client) => Ok(Site::Running(client)),
            None => Ok(Site::Files(Box::new(pipeline))),
        }
    }

    fn catalog(pipeline: &Pipeline) -> Result<Catalog, String> {
        Catalog::load(pipeline).map_err(|problems| problems.to_string())
    }

    /// Says who was asked, after something was changed.
    fn note(&self) -> String {
        match self {
            Site::Running(client) => format!("done by the weir at {}\n", client.address),
            Site::Files(_) => {
                "no weir was asked: one that runs with these files takes them by itself\n".into()
            }
        }
    }

    fn list(&self) -> Result<Json, String> {
        match self {
            Site::Running(client) => client.json("GET", "", b""),
            Site::Files(pipeline) => Ok(tree::list(&Site::catalog(pipeline)?)),
        }
    }

    fn show(&self, id: &str) -> Result<Json, String> {
        match self {
            Site::Running(client) => client.json("GET", &client::path(&[id]), b""),
            Site::Files(pipeline) => {
                let catalog = Site::catalog(pipeline)?;
                tree::show(&catalog, id).ok_or_else(|| tree::unknown(&catalog, id))
            }
        }
    }

    fn text(&self, id: &str) -> Result<String, String> {
        match self {
            Site::Running(client) => client.ask("GET", &client::path(&[id, "text"]), b""),
            Site::Files(pipeline) => {
                let catalog = Site::catalog(pipeline)?;
                let entry = catalog.entry(id).ok_or_else(|| tree::unknown(&catalog, id))?;
                Ok(entry.source.text.to_string())
            }
        }
    }

    fn import(&self, name: &str, text: &str, only: Option<&str>) -> Result<Json, String> {
        match self {
            Site::Running(client) => {
                let query = only.map_or(String::new(), |only| format!("&only={}", client::escaped(only)));
                let path = format!("?name={}{query}", client::escaped(name));
                client.json("PUT", &path, text.as_bytes())
            }
            Site::Files(pipeline) => change::import(pipeline, name, text, only, &mut || Ok(())),
        }
    }

    fn switch(&self, ids: &[String], mode: &str) -> Result<Json, String> {
        match self {
            Site::Running(client) => {
                let body = json!({"ids": ids, "mode": mode}).to_string();
                client.json("PATCH", "", body.as_bytes())
            }
            Site::Files(pipeline) => change::set(pipeline, ids, mode, &mut || Ok(())),
        }
    }

    fn roll_back(&self, id: &str) -> Result<Json, String> {
        match self {
            Site::Running(client) => client.json("POST", &client::path(&[id, "rollback"]), b""),
            Site::Files(pipeline) => change::roll_back(pipeline, id, &mut || Ok(())),
        }
    }

    /// The ids of the packs that the pipeline uses.
    fn used(&self) -> Result<Vec<String>, String> {
        self.ids(|pack| pack["used"] == true)
    }

    fn imported(&self) -> Result<Vec<String>, String> {
        if let Site::Files(pipeline) = self {
            // A broken pack can be rolled back, too.
            let found = store(pipeline).map_or(Ok(Vec::new()), |store| store.installed());
            let found = found.map_err(|error| format!("cannot read the imported packs: {error}\n"))?;
            return Ok(found.into_iter().map(|one| one.id).collect());
        }
        self.ids(|pack| pack["import"].is_u64())
    }

    fn ids(&self, wanted: impl Fn(&Json) -> bool) -> Result<Vec<String>, String> {
        let list = self.list()?;
        let packs = list["packs"].as_array().into_iter().flatten();
        Ok(packs.filter(|pack| wanted(pack)).map(|pack| word(pack, "id").to_string()).collect())
    }
}

fn text(path: &Path) -> String {
    PathBuf::from(path).to_string_lossy().into_owned()
}

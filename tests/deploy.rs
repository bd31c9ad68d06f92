//! What lies in `deploy/` fits the program and itself: ports, names, grace periods, paths, metrics, shared libraries.
//!
//! Nothing is started but the program itself, python3 and promtool, and nothing is sent anywhere. A test that lacks a
//! program appends a line to `target/skipped.txt`, which `.ci/test` prints.
//! Not checked here: that a cluster, a container engine or systemd accepts the files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// What the final image has: the C library and libgcc.
const IMAGE_LIBRARIES: &[&str] = &[
    "linux-vdso.so.1",
    "libc.so.6",
    "libm.so.6",
    "libgcc_s.so.1",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
];
/// The metrics that rules may rely on.
const METRICS: &[&str] = &[
    "weir_received_events_total",
    "weir_admitted_events_total",
    "weir_shed_events_total",
    "weir_duplicate_events_total",
    "weir_delivered_events_total",
    "weir_dropped_events_total",
    "weir_sink_lag_batches",
    "weir_events_total",
    "weir_router_requests_total",
    "weir_drain_events_total",
    "weir_upstream_lost_total",
    "weir_udp_kernel_drops_total",
    "weir_slots",
    "weir_slots_free",
    "weir_build_info",
    "weir_notify_dropped_total",
    "weir_alert_records_total",
    "weir_alert_degraded",
    "weir_report_dropped_rows_total",
    "weir_capped_samples_total",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn parse(path: &str, text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn documents(path: &str) -> Vec<Value> {
    read(path).split("\n---\n").map(|text| parse(path, text)).collect()
}

/// The value at a path of names and places, which must be there.
fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    value.pointer(path).unwrap_or_else(|| panic!("nothing at {path} in {value:#}"))
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    at(value, path).as_str().unwrap_or_else(|| panic!("no text at {path}"))
}

fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    at(value, path).as_array().unwrap_or_else(|| panic!("no list at {path}"))
}

fn port_of(address: &str) -> u64 {
    let (_, port) = address.rsplit_once(':').unwrap_or_else(|| panic!("no port in `{address}`"));
    port.parse().unwrap_or_else(|e| panic!("port of `{address}`: {e}"))
}

fn seconds(duration: &str) -> u64 {
    duration
        .strip_suffix('s')
        .and_then(|n| n.parse().ok())
        .unwrap_or_else(|| panic!("`{duration}` is not seconds"))
}

/// Whether `program` can be run; if not, the test that asks is named among the skipped.
fn can_run(test: &str, program: &str) -> bool {
    if Command::new(program).arg("--version").output().is_ok() {
        return true;
    }
    let path = root().join("target/skipped.txt");
    fs::create_dir_all(root().join("target")).expect("the target folder can be made");
    let mut file = fs::File::options().create(true).append(true).open(path).expect("target can be written");
    writeln!(file, "deploy::{test}: {program} is not installed").expect("target can be written");
    false
}

fn assert_success(what: &str, output: &Output) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what}: {}\n{out}{err}", output.status);
}

/// The objects that `kubectl apply -k` makes, by kind and name, and the example secret.
fn objects() -> BTreeMap<String, Value> {
    let dir = "deploy/kubernetes";
    let kustomization = documents(&format!("{dir}/kustomization.yaml")).remove(0);
    let listed: BTreeSet<&str> =
        list(&kustomization, "/resources").iter().filter_map(Value::as_str).collect();
    let found: BTreeSet<String> = fs::read_dir(root().join(dir))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| !matches!(n.as_str(), "kustomization.yaml" | "secret.example.yaml"))
        .collect();
    assert_eq!(listed, found.iter().map(String::as_str).collect(), "the kustomization lists every file");

    let mut objects = BTreeMap::new();
    for file in listed.into_iter().chain(["secret.example.yaml"]) {
        for object in documents(&format!("{dir}/{file}")) {
            let kind = text(&object, "/kind");
            assert!(at(&object, "/apiVersion").is_string(), "{file}: {kind} has an apiVersion");
            if kind != "Namespace" {
                assert_eq!(text(&object, "/metadata/namespace"), "weir", "{file}: {kind}");
            }
            let name = format!("{kind}/{}", text(&object, "/metadata/name"));
            assert!(objects.insert(name.clone(), object).is_none(), "{name} is there twice");
        }
    }
    objects
}

fn cluster_pipeline(objects: &BTreeMap<String, Value>) -> (String, Value) {
    let source = text(&objects["ConfigMap/weir-pipeline"], "/data/pipeline.yaml").to_string();
    let value = parse("configmap.yaml", &source);
    (source, value)
}

#[test]
fn selectors_find_the_pod() {
    let objects = objects();
    let deployment = &objects["Deployment/weir"];
    let labels = at(deployment, "/spec/template/metadata/labels").as_object().unwrap();
    for (object, path) in [
        ("Deployment/weir", "/spec/selector/matchLabels"),
        ("Service/weir", "/spec/selector"),
        ("Service/weir-observe", "/spec/selector"),
        ("NetworkPolicy/weir", "/spec/podSelector/matchLabels"),
    ] {
        let selector = at(&objects[object], path).as_object().unwrap();
        assert!(!selector.is_empty(), "{object} selects by a label");
        for (key, value) in selector {
            assert_eq!(labels.get(key), Some(value), "{object} selects {key}");
        }
    }
}

#[test]
fn ports_agree_from_pipeline_to_service() {
    let objects = objects();
    let (_, pipeline) = cluster_pipeline(&objects);
    let container = at(&objects["Deployment/weir"], "/spec/template/spec/containers/0");

    let mut bound: BTreeSet<u64> =
        list(&pipeline, "/listeners").iter().map(|l| port_of(text(l, "/bind"))).collect();
    let observe = text(&pipeline, "/observe");
    assert!(observe.starts_with("0.0.0.0:"), "probes come from outside the pod: {observe}");
    assert!(text(&pipeline, "/admin").starts_with("127.0.0.1:"), "the admin address stays inside the pod");
    bound.insert(port_of(observe));

    let ports: BTreeMap<&str, u64> = list(container, "/ports")
        .iter()
        .map(|p| (text(p, "/name"), at(p, "/containerPort").as_u64().unwrap()))
        .collect();
    assert_eq!(
        ports.values().copied().collect::<BTreeSet<_>>(),
        bound,
        "container ports are what the pipeline binds"
    );
    assert_eq!(ports["observe"], port_of(observe));

    for (probe, path) in
        [("startupProbe", "/readyz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")]
    {
        let get = at(container, &format!("/{probe}/httpGet"));
        assert_eq!((text(get, "/port"), text(get, "/path")), ("observe", path), "{probe}");
    }
    let annotations = at(&objects["Deployment/weir"], "/spec/template/metadata/annotations");
    assert_eq!(annotations["prometheus.io/port"], ports["observe"].to_string());

    let mut served = BTreeSet::new();
    for service in ["Service/weir", "Service/weir-observe"] {
        for port in list(&objects[service], "/spec/ports") {
            let target = text(port, "/targetPort");
            assert_eq!(ports.get(target).copied(), at(port, "/port").as_u64(), "{service}: port {target}");
            served.insert(target);
        }
    }
    let open: BTreeSet<&str> = list(&objects["NetworkPolicy/weir"], "/spec/ingress")
        .iter()
        .flat_map(|rule| list(rule, "/ports"))
        .map(|port| text(port, "/port"))
        .collect();
    let names: BTreeSet<&str> = ports.keys().copied().collect();
    assert_eq!((&served, &open), (&names, &names), "every port has a service and is let in");
    let public = list(&objects["Service/weir"], "/spec/ports");
    assert!(public.iter().all(|p| text(p, "/name") != "observe"), "metrics are not on the public service");
}

#[test]
fn the_pod_can_do_little_and_gets_what_it_needs() {
    let objects = objects();
    let (source, pipeline) = cluster_pipeline(&objects);
    let spec = at(&objects["Deployment/weir"], "/spec/template/spec");
    let container = at(spec, "/containers/0");
    for (value, path, expect) in [
        (spec, "/securityContext/runAsNonRoot", Value::from(true)),
        (spec, "/securityContext/seccompProfile/type", "RuntimeDefault".into()),
        (spec, "/automountServiceAccountToken", false.into()),
        (container, "/securityContext/allowPrivilegeEscalation", false.into()),
        (container, "/securityContext/readOnlyRootFilesystem", true.into()),
        (container, "/securityContext/capabilities/drop", vec!["ALL"].into()),
    ] {
        assert_eq!(at(value, path), &expect, "{path}");
    }
    for path in ["/resources/requests/memory", "/resources/limits/memory", "/resources/limits/cpu"] {
        assert!(at(container, path).is_string(), "{path}");
    }

    let user = dockerfile().into_iter().find_map(|l| l.strip_prefix("USER ").map(String::from)).unwrap();
    let group = at(spec, "/securityContext/runAsUser").as_u64().unwrap();
    assert_eq!(user, format!("{group}:{group}"), "the image's user is the pod's");

    let volumes: BTreeSet<&str> = list(spec, "/volumes").iter().map(|v| text(v, "/name")).collect();
    let mounts = list(container, "/volumeMounts");
    assert!(mounts.iter().all(|m| volumes.contains(text(m, "/name"))), "each mount has its volume");
    assert!(mounts.iter().all(|m| m.get("subPath").is_none()), "a file mounted by subPath is never updated");
    let writable: Vec<_> =
        mounts.iter().filter(|m| m.get("readOnly").is_none()).map(|m| text(m, "/mountPath")).collect();
    for sink in list(&pipeline, "/sinks").iter().filter(|s| s["kind"] == "file") {
        assert!(writable.contains(&text(sink, "/root")), "sink `{}` writes to a volume", text(sink, "/name"));
    }
    let config = list(spec, "/volumes").iter().find_map(|v| v.pointer("/configMap/name")).unwrap();
    assert!(objects.contains_key(&format!("ConfigMap/{}", config.as_str().unwrap())));
    let claim =
        list(spec, "/volumes").iter().find_map(|v| v.pointer("/persistentVolumeClaim/claimName")).unwrap();
    assert!(objects.contains_key(&format!("PersistentVolumeClaim/{}", claim.as_str().unwrap())));

    let env: BTreeMap<&str, &Value> = list(container, "/env").iter().map(|e| (text(e, "/name"), e)).collect();
    for name in source.split("${").skip(1).filter_map(|s| s.split(['}', ':']).next()) {
        let from =
            at(env.get(name).unwrap_or_else(|| panic!("`{name}` is not set")), "/valueFrom/secretKeyRef");
        let secret = &objects[&format!("Secret/{}", text(from, "/name"))];
        assert!(secret["stringData"].get(text(from, "/key")).is_some(), "the example has {name}");
    }
}

#[test]
fn nobody_kills_weir_before_it_has_drained() {
    let objects = objects();
    let (_, pipeline) = cluster_pipeline(&objects);
    let spec = at(&objects["Deployment/weir"], "/spec/template/spec");
    let pre_stop = list(spec, "/containers/0/lifecycle/preStop/exec/command");
    let sleep: u64 = pre_stop[1].as_str().unwrap().parse().unwrap();
    let grace = at(spec, "/terminationGracePeriodSeconds").as_u64().unwrap();
    assert!(grace > sleep + seconds(text(&pipeline, "/shutdown_after")), "{grace} s is too short");

    let stop: u64 = unit()["TimeoutStopSec"][0].parse().unwrap();
    let default_s = weir::limits::SHUTDOWN_S;
    assert!(stop > default_s, "systemd waits {stop} s, weir drains for up to {default_s} s");
}

/// The unit's keys; a key may stand several times.
fn unit() -> BTreeMap<String, Vec<String>> {
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, value) in read("deploy/systemd/weir.service").lines().filter_map(|l| l.split_once('=')) {
        if !key.starts_with('#') {
            keys.entry(key.into()).or_default().push(value.into());
        }
    }
    keys
}

#[test]
fn the_unit_is_hardened_and_reloads_by_hangup() {
    let unit = unit();
    for (key, value) in [
        ("ExecReload", "/bin/kill -HUP $MAINPID"),
        ("DynamicUser", "yes"),
        ("ProtectSystem", "strict"),
        ("NoNewPrivileges", "yes"),
        ("StateDirectory", "weir"),
        ("AmbientCapabilities", "CAP_NET_BIND_SERVICE"),
        ("CapabilityBoundingSet", "CAP_NET_BIND_SERVICE"),
        ("SystemCallFilter", "@system-service"),
    ] {
        assert_eq!(unit.get(key).map(Vec::as_slice), Some(&[value.to_string()][..]), "{key}");
    }
    assert!(unit["ExecStart"][0].starts_with("/usr/local/bin/weir run "));
}

/// The Dockerfile's instructions, lines joined and comments left out.
fn dockerfile() -> Vec<String> {
    let joined = read("deploy/docker/Dockerfile").replace("\\\n", " ");
    joined.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).map(String::from).collect()
}

/// What the Dockerfile takes from the repository.
fn copied() -> Vec<String> {
    let mut sources = Vec::new();
    for line in dockerfile().iter().filter_map(|l| l.strip_prefix("COPY ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if !words[0].starts_with("--from=") {
            sources.extend(words[..words.len() - 1].iter().map(|w| w.to_string()));
        }
    }
    sources
}

#[test]
fn the_image_copies_what_exists_and_what_the_build_needs() {
    let copied = copied();
    let ignored = read(".dockerignore");
    assert!(copied.len() > 4, "{copied:?}");
    for path in &copied {
        assert!(root().join(path).exists(), "COPY {path}: no such file or folder");
        assert!(ignored.lines().any(|l| l == format!("!{path}")), ".dockerignore keeps {path} out");
    }
    let is_copied = |path: &Path| copied.iter().any(|c| path.starts_with(c));

    // Cargo refuses a manifest whose benches or members are missing, and a source that includes a missing file.
    let manifest = read("Cargo.toml");
    for (mark, dir) in
        [("[[bench]]", "benches"), ("[[test]]", "tests"), ("members = [\"loadtest\"]", "loadtest")]
    {
        assert!(
            !manifest.contains(mark) || is_copied(Path::new(dir)),
            "Cargo.toml needs {dir}, the image lacks it"
        );
    }
    for dir in ["src", "loadtest/src"] {
        for path in rust_files(&root().join(dir)) {
            let source = fs::read_to_string(&path).unwrap();
            let home = path.parent().unwrap().strip_prefix(root()).unwrap().to_path_buf();
            for included in source.split("include_").skip(1).filter_map(|s| {
                let s = s.strip_prefix("str!(\"").or_else(|| s.strip_prefix("bytes!(\""))?;
                s.split('"').next()
            }) {
                let target = normal(&home.join(included));
                // What lies there is included by tests alone, which the image does not build.
                let for_tests = target.starts_with("tests/cases");
                assert!(
                    for_tests || is_copied(&target),
                    "{} includes {}, the image lacks it",
                    path.display(),
                    target.display()
                );
            }
        }
    }
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}

/// The path with its `..` taken back.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path {
        if part == ".." {
            out.pop()
        } else {
            out.push(part);
            true
        };
    }
    out
}

#[test]
fn the_image_runs_its_pipeline_as_nobody() {
    let lines = dockerfile();
    let pipeline = parse("pipeline.yaml", &read("deploy/docker/pipeline.yaml"));
    let mut bound: BTreeSet<String> = list(&pipeline, "/listeners")
        .iter()
        .map(|l| format!("{}/{}", port_of(text(l, "/bind")), if l["kind"] == "udp" { "udp" } else { "tcp" }))
        .collect();
    bound.insert(format!("{}/tcp", port_of(text(&pipeline, "/observe"))));
    let exposed = lines.iter().find_map(|l| l.strip_prefix("EXPOSE ")).unwrap();
    assert_eq!(exposed.split(' ').map(String::from).collect::<BTreeSet<_>>(), bound);

    let user = lines.iter().find_map(|l| l.strip_prefix("USER ")).unwrap();
    assert!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "USER {user}");
    assert!(lines.contains(&"ENTRYPOINT [\"/usr/local/bin/weir\"]".to_string()));
    assert!(lines.contains(&"CMD [\"run\", \"/etc/weir/pipeline.yaml\"]".to_string()));
    assert!(lines.iter().any(|l| l == "COPY deploy/docker/pipeline.yaml /etc/weir/pipeline.yaml"));
    for sink in list(&pipeline, "/sinks") {
        assert!(
            lines.contains(&format!("VOLUME {}", text(sink, "/root"))),
            "what is written outlives the container"
        );
    }
}

#[test]
fn the_binary_needs_no_library_that_the_image_lacks() {
    let output =
        Command::new("ldd").arg(env!("CARGO_BIN_EXE_weir")).output().expect("ldd comes with the C library");
    assert_success("ldd", &output);
    let needed = String::from_utf8(output.stdout).unwrap();
    assert!(needed.contains("libc.so.6"), "{needed}");
    for line in needed.lines() {
        let path = line.split_whitespace().next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        assert!(IMAGE_LIBRARIES.contains(&name), "{name} is not in the image:\n{needed}");
    }
}

#[test]
fn weir_accepts_every_pipeline_shown() {
    let mut shown = vec![("deploy/docker/pipeline.yaml".to_string(), read("deploy/docker/pipeline.yaml"))];
    shown.push(("deploy/kubernetes/configmap.yaml".into(), cluster_pipeline(&objects()).0));
    for (i, block) in read("README.md").split("```yaml\n").skip(1).enumerate() {
        let block = block.split("```").next().unwrap_or_default();
        if block.starts_with("weir: pipeline/v1") {
            shown.push((format!("README.md, block {}", i + 1), block.into()));
        }
    }
    assert!(shown.len() > 2, "the README shows a pipeline");
    let dir = tempfile::tempdir().unwrap();
    for (name, source) in shown {
        let path = dir.path().join("pipeline.yaml");
        fs::write(&path, source).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_weir"))
            .arg("check")
            .arg(&path)
            .env("DRAIN_PASSWORD", "secret")
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert_success(&name, &output);
    }
}

#[test]
fn alerts_name_metrics_that_weir_has() {
    let source = read("deploy/prometheus/weir.rules.yml");
    let rules = parse("weir.rules.yml", &source);
    let known: BTreeSet<&str> = METRICS.iter().copied().collect();
    let mut alerts = BTreeSet::new();
    let of_packs = list(&rules, "/groups/1/rules");
    assert!(of_packs.len() > 10, "{} rules of packs", of_packs.len());
    for rule in list(&rules, "/groups/0/rules").iter().chain(of_packs) {
        let expr = text(rule, "/expr");
        for name in
            expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| w.starts_with("weir_"))
        {
            assert!(known.contains(name), "{name} is no metric of weir");
        }
        for annotation in ["summary", "description"] {
            assert!(at(rule, &format!("/annotations/{annotation}")).is_string());
        }
        alerts.insert(text(rule, "/alert").to_string());
    }
    // Those of packs are all made alike: the first stands for them.
    of_packs[1..].iter().for_each(|rule| _ = alerts.remove(text(rule, "/alert")));
    let tests = read("deploy/prometheus/weir.rules.test.yml");
    for alert in &alerts {
        assert!(tests.contains(&format!("- alertname: {alert}\n")), "{alert} is never seen to fire");
    }
    let scrape = parse("prometheus.yml", &read("deploy/prometheus/prometheus.yml"));
    assert_eq!(text(&scrape, "/scrape_configs/0/static_configs/0/targets/0"), "127.0.0.1:9600");
}

/// What `weir export` prints.
fn exported(what: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_weir")).args(["export", what]).output().unwrap();
    assert_success(what, &output);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_is_generated_is_what_the_program_prints() {
    for (what, path) in
        [("prometheus-rules", "deploy/prometheus/weir.rules.yml"), ("grafana", "deploy/grafana/weir.json")]
    {
        assert!(
            exported(what) == read(path),
            "{path} is not what is printed now: `weir export {what} > {path}`"
        );
    }
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/weir.json")).unwrap();
    let pack = weir::pack::built_in("heroku").unwrap();
    let own: BTreeSet<&str> = METRICS.iter().copied().collect();
    let mut rules = String::from("groups: [{name: g, rules: [\n");
    let (mut asked, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for panel in list(&dashboard, "/panels") {
        assert!(ids.insert(at(panel, "/id").as_u64().unwrap()), "two panels have one id");
        for target in panel.pointer("/targets").and_then(Value::as_array).into_iter().flatten() {
            let expr = text(target, "/expr");
            let word = |c: char| !c.is_ascii_alphanumeric() && c != '_';
            for name in expr.split(word).filter(|w| w.starts_with("weir_") || w.starts_with("heroku_")) {
                let of_pack = pack.metrics.iter().find(|metric| name.strip_prefix(&metric.name).is_some());
                assert!(own.contains(name) || of_pack.is_some(), "{name} is no metric");
                asked.extend(of_pack.map(|metric| metric.name.clone()));
            }
            assert!(!expr.contains("_ip"), "{expr}");
            let filled =
                expr.replace("$__rate_interval", "5m").replace("$__range", "6h").replace("$app", ".*");
            rules += &format!("{{record: a:b, expr: {}}},\n", Value::from(filled));
        }
    }
    rules += "]}]\n";
    let all: BTreeSet<String> = pack.metrics.iter().map(|metric| metric.name.clone()).collect();
    // A name that begins another may be found for it.
    assert!(asked.len() + 1 >= all.len(), "{asked:?} of {all:?}");
    let titles: Vec<&str> = list(&dashboard, "/panels").iter().map(|panel| text(panel, "/title")).collect();
    for title in ["Error Codes Received", "Visits on Application Per Day", "Log Severity"] {
        assert!(titles.contains(&title), "{titles:?}");
    }
    assert!(!titles.contains(&"Request Method by Ip"), "no metric has addresses");
    if can_run("the_dashboard_asks_for_what_there_is", "promtool") {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rules.yml");
        fs::write(&path, rules).unwrap();
        let output =
            Command::new("promtool").args(["check", "rules", "--lint=none"]).arg(path).output().unwrap();
        assert_success("promtool", &output);
    }
}

#[test]
fn promtool_accepts_and_proves_the_rules() {
    if !can_run("promtool_accepts_and_proves_the_rules", "promtool") {
        return;
    }
    for args in [["check", "config", "prometheus.yml"], ["test", "rules", "weir.rules.test.yml"]] {
        let output = Command::new("promtool")
            .args(args)
            .current_dir(root().join("deploy/prometheus"))
            .output()
            .unwrap();
        assert_success("promtool", &output);
    }
}

#[test]
fn the_consumer_reads_plain_and_packed_messages_once() {
    if !can_run("the_consumer_reads_plain_and_packed_messages_once", "python3") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("events.ndjson");
    let script = r#"
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
import consume
seen = consume.Seen(limit=3)
with open(sys.argv[2], "wb") as out:
    consume.write_new([b'{"id":"a-1"}', b'{"id":"a-2"}\n{"id":"a-3"}\n', b'{"id":"a-2"}\n{"id":"a-4"}'], seen, out)
    consume.write_new([b'{"id":"a-1"}'], seen, out)
"#;
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(root().join("deploy/kafka"))
        .arg(&out)
        .output()
        .unwrap();
    assert_success("python3", &output);
    // The fourth event displaced `a-1`, which is therefore new again.
    let expect = "{\"id\":\"a-1\"}\n{\"id\":\"a-2\"}\n{\"id\":\"a-3\"}\n{\"id\":\"a-4\"}\n{\"id\":\"a-1\"}\n";
    assert_eq!(fs::read_to_string(out).unwrap(), expect);
}

#[test]
fn scripts_that_measure_can_be_read_and_tell_what_they_have() {
    if !can_run("scripts_that_measure_can_be_read_and_tell_what_they_have", "python3") {
        return;
    }
    let run = |script: &str, flag: &str| {
        let script = root().join(script);
        let output = Command::new("python3").arg(script).arg(flag).output().expect("python3 runs");
        assert_success("python3", &output);
        String::from_utf8(output.stdout).expect("text")
    };
    for script in ["benches/run", "benches/whole", "benches/kafka"] {
        assert!(run(script, "--help").contains("--no-record"), "{script}");
    }
    let listed = run("loadtest/peers/run", "--list");
    for peer in ["weir", "rsyslog", "syslog-ng"] {
        let line = listed.lines().find(|line| line.starts_with(&format!("{peer}: ")));
        assert!(line.is_some_and(|line| line.ends_with("; J1 J2 J3")), "{peer}: {listed}");
    }
}

//! Certificates of a listener.
//!
//! They are read when the listener is opened and at every reload; a connection keeps those it began with.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::config;

/// What a listener shows to TLS clients, and asks of them.
#[derive(Clone)]
pub struct Certificates {
    config: Arc<ServerConfig>,
}

impl Certificates {
    /// Reads the files that `tls` names; `http` offers HTTP/2 and HTTP/1.1. The error says which file, and what to do.
    pub fn read(tls: &config::Tls, http: bool) -> Result<Certificates, String> {
        let chain = certificates(&tls.cert)?;
        let key =
            PrivateKeyDer::from_pem_file(tls.key.as_path()).map_err(|error| unreadable(&tls.key, error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match &tls.client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(file)? {
                    roots.add(certificate).map_err(|error| unreadable(file, error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| unreadable(file, error))?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| {
            format!("`{}` and `{}` do not fit: {error}", tls.cert.shown(), tls.key.shown())
        })?;
        if http {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        Ok(Certificates { config: Arc::new(config) })
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        self.config.clone().into()
    }
}

fn certificates(file: &config::Text) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = |path: &Path| CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>();
    match read(file.as_path()) {
        Ok(found) if found.is_empty() => Err(unreadable(file, io::Error::other("no certificate in it"))),
        Ok(found) => Ok(found),
        Err(error) => Err(unreadable(file, error)),
    }
}

fn unreadable(file: &config::Text, error: impl std::fmt::Display) -> String {
    format!("cannot use `{}`: {error}", file.shown())
}

#[cfg(test)]
mod tests;

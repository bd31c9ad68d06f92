//! The observe and admin addresses: small HTTP servers on a thread of their own.
//!
//! `observe` may be public to a cluster and tells figures only; `admin` stays on loopback.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Notify, Semaphore};

/// What the process is doing, for `/readyz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    Starting,
    Ready,
    Draining,
}

/// The phase, shared.
#[derive(Debug)]
pub struct Readiness(AtomicU8);

impl Default for Readiness {
    fn default() -> Self {
        Readiness(AtomicU8::new(Phase::Starting as u8))
    }
}

impl Readiness {
    pub fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Release);
    }

    fn answer(&self) -> Answer {
        match self.0.load(Ordering::Acquire) {
            phase if phase == Phase::Ready as u8 => Answer::text(StatusCode::OK, "ready\n"),
            phase if phase == Phase::Draining as u8 => {
                Answer::text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
            }
            _ => Answer::text(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        }
    }
}

/// What is answered to a request.
pub struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: String,
}

impl Answer {
    pub fn text(status: StatusCode, body: impl Into<String>) -> Answer {
        Answer { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }

    pub fn json(body: String) -> Answer {
        Answer { status: StatusCode::OK, content_type: "application/json", body }
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body)));
        *response.status_mut() = self.status;
        let value = hyper::header::HeaderValue::from_static(self.content_type);
        response.headers_mut().insert(hyper::header::CONTENT_TYPE, value);
        response
    }
}

/// Where figures come from, whatever serves them.
pub trait Figures: Send + Sync + 'static {
    /// The page of `/metrics`.
    fn metrics(&self) -> String;
    /// One line of JSON.
    fn books(&self) -> String;
    /// What dashlets show: `rest` is the path behind theirs, `query` that of the URL.
    fn dashlets(&self, rest: &str, query: Option<&str>) -> Option<Answer>;
}

/// Which of the two addresses a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Observe,
    Admin,
}

/// The paths of each address, for the router and for the list that a lost visitor gets.
const OBSERVE: &[&str] = &["/metrics", "/healthz", "/readyz"];
const ADMIN: &[&str] = &["/books", super::dashlets::PATH];

fn route(side: Side, uri: &Uri, figures: &dyn Figures, readiness: &Readiness) -> Answer {
    let path = uri.path();
    if side == Side::Admin
        && let Some(rest) = path.strip_prefix(super::dashlets::PATH)
        && let Some(answer) = figures.dashlets(rest, uri.query())
    {
        return answer;
    }
    match (side, path) {
        (Side::Observe, "/metrics") => {
            Answer { status: StatusCode::OK, content_type: prometheus::TEXT_FORMAT, body: figures.metrics() }
        }
        (Side::Observe, "/healthz") => Answer::text(StatusCode::OK, "ok\n"),
        (Side::Observe, "/readyz") => readiness.answer(),
        (Side::Admin, "/books") => Answer::json(figures.books() + "\n"),
        (side, _) => {
            let known = if side == Side::Observe { OBSERVE } else { ADMIN };
            Answer::text(StatusCode::NOT_FOUND, format!("not found; here are {}\n", known.join(" ")))
        }
    }
}

/// Connections served at once; scrapers and probes need few.
const CONNECTIONS: usize = 64;
/// From connect to the end of a request's head.
const HEAD: Duration = Duration::from_secs(10);

/// The two servers, until dropped.
pub struct Servers {
    pub observe: SocketAddr,
    pub admin: SocketAddr,
    stop: Arc<Notify>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Servers {
    /// Binds both addresses and serves. The error names the address that could not be had.
    pub fn start(
        observe: SocketAddr,
        admin: SocketAddr,
        figures: Arc<dyn Figures>,
        readiness: Arc<Readiness>,
    ) -> io::Result<Servers> {
        let (observe, admin) = (bind("observe", observe)?, bind("admin", admin)?);
        let addresses = (observe.local_addr()?, admin.local_addr()?);
        let stop = Arc::new(Notify::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stopped = stop.clone();
        let thread = crate::flow::spawn("observe".into(), move || {
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, async move {
                for (side, listener) in [(Side::Observe, observe), (Side::Admin, admin)] {
                    let (figures, readiness) = (figures.clone(), readiness.clone());
                    tokio::task::spawn_local(accept(side, listener, figures, readiness));
                }
                stopped.notified().await;
            });
        })?;
        Ok(Servers { observe: addresses.0, admin: addresses.1, stop, thread: Some(thread) })
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic in it has ended the process already.
            let _ = thread.join();
        }
    }
}

fn bind(name: &str, address: SocketAddr) -> io::Result<TcpListener> {
    let explain = |error: io::Error| {
        let why = format!("`{name}`: cannot listen on `{address}`: {error}");
        io::Error::new(error.kind(), why)
    };
    let listener = TcpListener::bind(address).map_err(explain)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn accept(side: Side, listener: TcpListener, figures: Arc<dyn Figures>, readiness: Arc<Readiness>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a non-blocking listener in a runtime");
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (figures, readiness) = (figures.clone(), readiness.clone());
        tokio::task::spawn_local(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = match *request.method() {
                    Method::GET | Method::HEAD => route(side, request.uri(), &*figures, &readiness),
                    _ => Answer::text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n"),
                };
                async move { Ok::<_, Infallible>(answer.into_response()) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD);
            // A client that breaks off is its own affair.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
            drop(place);
        });
    }
}

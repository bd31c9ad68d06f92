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
use crossbeam_channel::TrySendError;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Notify, Semaphore, oneshot};

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
        let version = hyper::header::HeaderValue::from_static(env!("CARGO_PKG_VERSION"));
        response.headers_mut().insert("x-weir", version);
        response
    }
}

/// A request about packs, which whoever has them answers.
pub struct Asked {
    pub method: Method,
    /// What follows `/api/v1/packs`.
    pub path: String,
    pub query: String,
    pub body: Bytes,
    pub reply: oneshot::Sender<Answer>,
}

/// Where requests about packs go.
pub type Asks = crossbeam_channel::Sender<Asked>;

/// Where figures come from, whatever serves them.
pub trait Figures: Send + Sync + 'static {
    /// The page of `/metrics`.
    fn metrics(&self) -> String;
    /// One line of JSON.
    fn books(&self) -> String;
    /// What is published of reports: `rest` is the path behind theirs, `query` that of the URL.
    fn reports(&self, rest: &str, query: Option<&str>) -> Option<Answer>;
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
const ADMIN: &[&str] = &["/books", PACKS, REPORTS, super::dashlets::PATH];
const REPORTS: &str = "/api/v1/reports";
const PACKS: &str = "/api/v1/packs";

fn route(side: Side, uri: &Uri, figures: &dyn Figures, readiness: &Readiness) -> Answer {
    let path = uri.path();
    if side == Side::Admin
        && let Some(rest) = path.strip_prefix(REPORTS).filter(|rest| rest.is_empty() || rest.starts_with('/'))
        && let Some(answer) = figures.reports(rest, uri.query())
    {
        return answer;
    }
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
/// From the head to the end of the body.
const BODY: Duration = Duration::from_secs(30);
/// Bodies held at once, each as large as the largest pack.
const BODIES: usize = 2;

/// Answers a request about packs: reads its body, and hands it on.
async fn packs(request: Request<Incoming>, asks: &Asks, bodies: &Semaphore) -> Answer {
    let refuse = |status, why: &str| Answer::text(status, format!("{why}\n"));
    let (head, body) = request.into_parts();
    // A page that a browser shows could ask for anything on loopback; it has to say where it comes from.
    if head.headers.contains_key(hyper::header::ORIGIN) {
        return refuse(StatusCode::FORBIDDEN, "requests of web pages are refused");
    }
    let _place = bodies.acquire().await.expect("the semaphore is never closed");
    let bytes_max = crate::pack::FILE_BYTES_MAX as usize;
    let body = match tokio::time::timeout(BODY, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            let why = format!("the pack is larger than {bytes_max} bytes");
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, &why);
        }
        Ok(Err(_)) => return refuse(StatusCode::BAD_REQUEST, "the body broke off"),
        Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
    };
    let (reply, answer) = oneshot::channel();
    let path = head.uri.path().strip_prefix(PACKS).unwrap_or_default().to_string();
    let query = head.uri.query().unwrap_or_default().to_string();
    match asks.try_send(Asked { method: head.method, path, query, body, reply }) {
        Ok(()) => {}
        Err(TrySendError::Full(_)) => {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "too many requests wait already");
        }
        Err(TrySendError::Disconnected(_)) => {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "packs cannot be asked for here");
        }
    }
    answer.await.unwrap_or_else(|_| refuse(StatusCode::SERVICE_UNAVAILABLE, "weir is ending"))
}

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
        asks: Asks,
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
                    tokio::task::spawn_local(accept(side, listener, figures, readiness, asks.clone()));
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

async fn accept(
    side: Side,
    listener: TcpListener,
    figures: Arc<dyn Figures>,
    readiness: Arc<Readiness>,
    asks: Asks,
) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a non-blocking listener in a runtime");
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let bodies = Arc::new(Semaphore::new(BODIES));
    loop {
        let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (figures, readiness) = (figures.clone(), readiness.clone());
        let (asks, bodies) = (asks.clone(), bodies.clone());
        tokio::task::spawn_local(async move {
            let service = service_fn(|request: Request<Incoming>| async {
                let answer = match *request.method() {
                    _ if side == Side::Admin && is_of_packs(request.uri().path()) => {
                        packs(request, &asks, &bodies).await
                    }
                    Method::GET | Method::HEAD => route(side, request.uri(), &*figures, &readiness),
                    _ => Answer::text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n"),
                };
                Ok::<_, Infallible>(answer.into_response())
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD);
            // A client that breaks off is its own affair.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
            drop(place);
        });
    }
}

fn is_of_packs(path: &str) -> bool {
    path.strip_prefix(PACKS).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

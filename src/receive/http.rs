//! The HTTP drain and `POST /ingest`: one connection, HTTP/1.1 or HTTP/2, plain or TLS.
//!
//! Invariants: a request is answered 2xx only when its frames are safe, and never refused quickly for want of room: each
//! answer but 2xx costs Logplex one of three tries. What is answered 401, or 503 for want of a slot, is not framed.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::{debug, warn};

use super::body::{self, Abandoned, Fault, Gathered};
use super::ingest;
use super::post::{self, Post};
use super::receiver::Receiver;
use super::request::{Coding, Head, Refused};
use super::stream::Place;
use crate::batch::{Form, Origin};
use crate::frame::{End, Framing};
use crate::limits;
use crate::parse;

/// From the listener's end until idle connections are closed: what has arrived is read in this time.
const SETTLE: Duration = Duration::from_millis(50);
/// A request's head.
const HEAD_BYTES: usize = 64 * 1024;
/// Requests in flight on one HTTP/2 connection.
const STREAMS: u32 = 64;
/// From the first byte of a body to the last there is `request`; then at most this long until the answer is written.
const ANSWER: Duration = Duration::from_millis(limits::RECEIPT_MS + limits::LINGER_MS);

type Answer = Response<Full<Bytes>>;

/// One connection.
struct Session {
    place: Rc<Place>,
    receiver: Rc<Receiver>,
    /// Who is on the other side, without what a request adds.
    peer: Arc<Origin>,
    /// Requests in flight.
    active: Cell<u32>,
    /// When the last request ended.
    last: Cell<Instant>,
}

/// Spawns what HTTP/2 runs beside the connection on the receiver's own thread.
#[derive(Clone, Copy)]
struct Here;

impl<F: Future + 'static> hyper::rt::Executor<F> for Here {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move { drop(future.await) });
    }
}

/// Serves requests until the client closes, is silent for `idle`, or the listener ends. Returns whether we closed it.
pub async fn serve<S>(stream: S, peer: Arc<Origin>, place: Place, receiver: Rc<Receiver>) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let idle = place.rules.listener.limits.idle;
    let place = Rc::new(place);
    let last = Cell::new(Instant::now());
    let session = Rc::new(Session { place: place.clone(), receiver, peer, active: Cell::new(0), last });
    let mut builder = Builder::new(Here);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_buf_size(HEAD_BYTES)
        .half_close(true);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS);
    let service = service_fn({
        let session = session.clone();
        move |request| answer(session.clone(), request)
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut stopped = pin!(async {
        place.stop.begun().await;
        sleep(SETTLE).await;
    });
    let mut stopping = false;
    loop {
        let quiet = if session.active.get() == 0 { session.last.get() + idle } else { Instant::now() + idle };
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    debug!(listener = place.rules.listener.name, %error, "a connection ended");
                }
                return false;
            }
            () = stopped.as_mut(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = sleep_until(quiet) => {
                if session.active.get() == 0 && session.last.get() + idle <= Instant::now() {
                    return true;
                }
            }
            () = async { place.stop.lingered().await; sleep(ANSWER).await } => return false,
        }
    }
}

/// Counts a request in flight.
struct InFlight(Rc<Session>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.active.set(self.0.active.get() - 1);
        self.0.last.set(Instant::now());
    }
}

/// Answers a request, or has its connection closed without an answer.
async fn answer(session: Rc<Session>, request: Request<Incoming>) -> Result<Answer, Abandoned> {
    session.active.set(session.active.get() + 1);
    let in_flight = InFlight(session);
    let session = &*in_flight.0;
    let rules = &session.place.rules;
    let answered = session.respond(request).await;
    if let Err(abandoned) = answered
        && abandoned != Abandoned::Broken
    {
        session.place.port.books.connections_closed.add(1);
        warn!(listener = rules.listener.name, peer = ?session.peer.peer, reason = ?abandoned, "closed a connection without an answer");
    }
    answered
}

impl Session {
    async fn respond(&self, request: Request<Incoming>) -> Result<Answer, Abandoned> {
        let rules = &self.place.rules;
        let begun = Instant::now() + rules.listener.limits.request;
        let (head, body) = request.into_parts();
        let mut share = self.receiver.shared.bodies.share();
        let cap = rules.listener.limits.body_bytes;
        let stop = &self.place.stop;
        if head.method != Method::POST {
            body::gather(body, 0, begun, stop, &mut share).await?;
            return Ok(not_allowed());
        }
        let read = Head::read(&head.headers, head.uri.query());
        let user = match read.admit(&head.headers, &rules.listener) {
            Ok(user) => user,
            Err(refused) => {
                // Read to its end first: a client that is still writing would not see the answer.
                body::gather(body, 0, begun, stop, &mut share).await?;
                return Ok(self.refuse(&read, refused));
            }
        };
        let mut gathered = body::gather(body, cap, begun, stop, &mut share).await?;
        let deadline = Instant::now() + Duration::from_millis(limits::RECEIPT_MS);
        match read.coding {
            Coding::Plain => {}
            Coding::Gzip => gathered = body::inflate(gathered, cap, &mut share).await?,
            Coding::Unknown => gathered.fault = Some(Fault::UnknownCoding),
        }
        let is_ingest = head.uri.path() == "/ingest";
        let origin = |form| self.origin(&read, user.clone(), form);
        match is_ingest {
            true => Ok(self.ingest(&read, &gathered, origin, deadline).await),
            false => Ok(self.drain(&read, &gathered, origin(Form::Syslog), deadline).await),
        }
    }

    /// A Logplex POST, or another of its form: never refused for what is in it.
    async fn drain(&self, head: &Head, body: &Gathered, origin: Arc<Origin>, deadline: Instant) -> Answer {
        let rules = &self.place.rules;
        let framing = match (rules.framing(), head.is_logplex_type()) {
            (Framing::Auto, true) => Framing::Octet,
            (framing, _) => framing,
        };
        let (end, bytes) = match body.fault {
            None => (End::Clean, &body.bytes[..]),
            Some(Fault::UnknownCoding) => (End::Cut, &[][..]),
            Some(_) => (End::Cut, &body.bytes[..]),
        };
        let (pieces, garbage) = post::frames(framing, rules.frame_bytes, bytes, end);
        let lost = body.len() - bytes.len() as u64;
        let lead_loss = pieces.first().and_then(|piece| parse::loss_notice(&bytes[piece.range()]));
        let frame_id = head.frame_id.as_deref().map(Arc::from);
        let post = Post { origin, body: bytes, pieces, frame_id, lead_loss };
        let books = &self.place.port.books;
        self.deliver(&post, head, deadline, || {
            books.bytes.add(body.len());
            books.garbage_bytes.add(garbage + lost);
            if head.messages.is_some_and(|count| count != post.pieces.len() as u64) {
                books.count_mismatch.add(1);
            }
        })
        .await
    }

    /// A body of records: refused whole where it is not what it says.
    async fn ingest(
        &self,
        head: &Head,
        body: &Gathered,
        origin: impl Fn(Form) -> Arc<Origin>,
        deadline: Instant,
    ) -> Answer {
        let cap = self.place.rules.listener.limits.body_bytes;
        match body.fault {
            None => {}
            Some(Fault::TooLarge) => {
                let reason =
                    format!("the body is too large\nhint: `limits.body_bytes` of the listener allows {cap}");
                return say(StatusCode::PAYLOAD_TOO_LARGE, reason);
            }
            Some(Fault::BrokenGzip) => return say(StatusCode::BAD_REQUEST, "the body is not gzip".into()),
            Some(Fault::UnknownCoding) => {
                let reason = "the content coding is not known\nhint: gzip, or none";
                return say(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason.into());
            }
        }
        let records = ingest::records(&head.content_type, &body.bytes, self.place.rules.frame_bytes);
        let (form, pieces) = match records {
            Ok(records) => records,
            Err(ingest::Refusal::Malformed(reason)) => return say(StatusCode::BAD_REQUEST, reason),
            Err(ingest::Refusal::TooLarge(reason)) => return say(StatusCode::PAYLOAD_TOO_LARGE, reason),
            Err(ingest::Refusal::Unsupported(reason)) => {
                return say(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason);
            }
        };
        let post = Post { origin: origin(form), body: &body.bytes, pieces, frame_id: None, lead_loss: None };
        self.deliver(&post, head, deadline, || self.place.port.books.bytes.add(body.len())).await
    }

    /// Admits the frames and waits until they are safe.
    async fn deliver(&self, post: &Post<'_>, head: &Head, deadline: Instant, counted: impl Fn()) -> Answer {
        let books = &self.place.port.books;
        if post.pieces.is_empty() {
            counted();
            return Answer::default();
        }
        let received = post.pieces.len() as u64;
        let count = || {
            books.received.add(received);
            counted();
        };
        let Some(number) = post.admit(&self.receiver, deadline, count).await else {
            self.count_refused(head);
            return busy();
        };
        match timeout_at(deadline, self.receiver.intake.receipt(number)).await {
            Ok(()) => Answer::default(),
            Err(_) => busy(),
        }
    }

    fn refuse(&self, head: &Head, refused: Refused) -> Answer {
        self.count_refused(head);
        let name = &self.place.rules.listener.name;
        warn!(listener = name, peer = ?self.peer.peer, reason = ?refused, "refused a request");
        match refused {
            Refused::Password => {
                let mut answer = say(StatusCode::UNAUTHORIZED, "user or password is wrong".into());
                let asked = HeaderValue::from_static("Basic realm=\"weir\", charset=\"UTF-8\"");
                answer.headers_mut().insert(WWW_AUTHENTICATE, asked);
                answer
            }
            Refused::Token => say(StatusCode::UNAUTHORIZED, "the drain token is not let in here".into()),
        }
    }

    fn count_refused(&self, head: &Head) {
        let books = &self.place.port.books;
        books.refused_requests.add(1);
        books.refused_messages.add(head.messages.unwrap_or(0));
    }

    fn origin(&self, head: &Head, user: Option<Box<str>>, form: Form) -> Arc<Origin> {
        Arc::new(Origin {
            listener: self.peer.listener,
            peer: self.peer.peer,
            peer_name: self.peer.peer_name.clone(),
            token: head.token.clone(),
            user,
            labels: head.labels.clone(),
            logplex: head.logplex,
            form,
        })
    }
}

fn not_allowed() -> Answer {
    let mut answer = say(StatusCode::METHOD_NOT_ALLOWED, "only POST is served here".into());
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    answer
}

fn busy() -> Answer {
    say(StatusCode::SERVICE_UNAVAILABLE, "not safe in time\nhint: send it again".into())
}

fn say(status: StatusCode, reason: String) -> Answer {
    let mut answer = Answer::new(Full::from(reason + "\n"));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

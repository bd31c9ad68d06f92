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
use super::budget::Share;
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
    let mut cut = pin!(async {
        place.stop.lingered().await;
        sleep(ANSWER).await;
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
            () = cut.as_mut() => return false,
        }
    }
}

/// A body, framed, with what the books will say of it.
struct Prepared {
    post: Post,
    bytes: u64,
    garbage: u64,
    mismatch: bool,
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
        let origin = |form| self.origin(&read, user.clone(), form);
        let prepared = match head.uri.path() {
            "/ingest" => match self.ingest(&read, gathered, origin) {
                Ok(prepared) => prepared,
                Err(refusal) => return Ok(*refusal),
            },
            _ => self.drain(&read, gathered, origin(Form::Syslog)),
        };
        self.deliver(prepared, share, &read, deadline).await
    }

    /// A Logplex POST, or another of its form: never refused for what is in it.
    fn drain(&self, head: &Head, body: Gathered, origin: Arc<Origin>) -> Prepared {
        let rules = &self.place.rules;
        let framing = match (rules.framing(), head.is_logplex_type()) {
            (Framing::Auto, true) => Framing::Octet,
            (framing, _) => framing,
        };
        let bytes = body.len();
        let (pieces, garbage) = match body.fault {
            None => post::frames(framing, rules.frame_bytes, &body.bytes, End::Clean),
            Some(Fault::UnknownCoding) => (Vec::new(), body.bytes.len() as u64),
            Some(Fault::TooLarge | Fault::BrokenGzip) => {
                post::frames(framing, rules.frame_bytes, &body.bytes, End::Cut)
            }
        };
        let lead_loss = pieces.first().and_then(|piece| parse::loss_notice(&body.bytes[piece.range()]));
        let mismatch = head.messages.is_some_and(|count| count != pieces.len() as u64);
        let frame_id = head.frame_id.as_deref().map(Arc::from);
        let post = Post { origin, body: body.bytes, pieces, frame_id, lead_loss };
        Prepared { post, bytes, garbage: garbage + body.lost, mismatch }
    }

    /// A body of records: refused whole where it is not what it says.
    fn ingest(
        &self,
        head: &Head,
        body: Gathered,
        origin: impl Fn(Form) -> Arc<Origin>,
    ) -> Result<Prepared, Box<Answer>> {
        let cap = self.place.rules.listener.limits.body_bytes;
        match body.fault {
            None => {}
            Some(Fault::TooLarge) => {
                let reason =
                    format!("the body is too large\nhint: `limits.body_bytes` of the listener allows {cap}");
                return Err(Box::new(say(StatusCode::PAYLOAD_TOO_LARGE, reason)));
            }
            Some(Fault::BrokenGzip) => {
                return Err(Box::new(say(StatusCode::BAD_REQUEST, "the body is not gzip".into())));
            }
            Some(Fault::UnknownCoding) => {
                let reason = "the content coding is not known\nhint: gzip, or none";
                return Err(Box::new(say(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason.into())));
            }
        }
        let records = ingest::records(&head.content_type, &body.bytes, self.place.rules.frame_bytes);
        let (form, pieces) = records.map_err(|refusal| {
            Box::new(match refusal {
                ingest::Refusal::Malformed(reason) => say(StatusCode::BAD_REQUEST, reason),
                ingest::Refusal::TooLarge(reason) => say(StatusCode::PAYLOAD_TOO_LARGE, reason),
                ingest::Refusal::Unsupported(reason) => say(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason),
            })
        })?;
        let bytes = body.len();
        let post = Post { origin: origin(form), body: body.bytes, pieces, frame_id: None, lead_loss: None };
        Ok(Prepared { post, bytes, garbage: 0, mismatch: false })
    }

    /// Admits the frames and waits until they are safe. The body is let go as soon as it is in batches.
    async fn deliver(
        &self,
        prepared: Prepared,
        mut share: Share,
        head: &Head,
        deadline: Instant,
    ) -> Result<Answer, Abandoned> {
        let Prepared { post, bytes, garbage, mismatch } = prepared;
        let books = &self.place.port.books;
        let counted = || {
            books.received.add(post.pieces.len() as u64);
            books.bytes.add(bytes);
            books.garbage_bytes.add(garbage);
            books.count_mismatch.add(u64::from(mismatch));
        };
        if post.pieces.is_empty() {
            counted();
            return Ok(Answer::default());
        }
        share.hold(post.held());
        let placed = tokio::select! {
            biased;
            () = share.evicted() => return Err(Abandoned::Evicted),
            placed = post.place(&self.receiver, deadline, counted) => placed,
        };
        let Some(placed) = placed else {
            self.count_refused(head);
            return Ok(busy());
        };
        drop((post, share));
        let safe = async {
            self.receiver.intake.receipt(placed.number().await?).await;
            Some(Answer::default())
        };
        Ok(timeout_at(deadline, safe).await.ok().flatten().unwrap_or_else(busy))
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

#[cfg(test)]
mod tests;

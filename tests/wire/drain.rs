//! The HTTP drain's promises: duplicates, refusals, and an answer only when it is safe.

use std::io::Read;
use std::time::{Duration, Instant};

use weir_load::check;
use weir_load::send::{Options, Tries};

use crate::support::frames::{FILES, check, listener, load, loss_notice, messages, pipeline, posted, send};
use crate::support::http::{Client, LOGPLEX};
use crate::support::weir::{Weir, assert_closed, events, figure};

const ID: (&str, &str) = ("Logplex-Frame-Id", "0123456789abcdef0123456789abcdef");
const TOKEN: (&str, &str) = ("Logplex-Drain-Token", "d.5a8fd083-0972-4e18-b912-94dc2d099dac");

#[test]
fn a_retry_is_a_duplicate_but_for_what_its_loss_notice_adds() {
    let mut weir = Weir::start(&pipeline(&[listener("drain", "http", "")], &[FILES]));
    let mut client = Client::connect(weir.address("drain"));
    let headers = [LOGPLEX, ID, TOKEN];
    let body: String = (1..=3).map(|n| posted(&format!("line {n}"))).collect();
    // (what leads the body, received, duplicate, lost_upstream), all in sum
    let table = [
        ("", 3, 0, 0),
        ("", 6, 3, 0),
        (&loss_notice(7), 10, 6, 7),
        (&loss_notice(7), 14, 10, 7),
        (&loss_notice(12), 18, 13, 12),
    ];
    for (lead, received, duplicate, lost) in table {
        let answer = client.post("/", &headers, format!("{lead}{body}").as_bytes());
        assert!((200..300).contains(&answer.status), "{answer:?}");
        // The answer waits for the sinks; the ledger may still have this batch before it.
        let books = weir.books_when("closed books", |books| books["closed"] == true);
        let of = |name: &str| figure(&books, &format!("/listeners/drain/{name}"));
        assert_eq!((of("received"), of("duplicate"), of("apart/lost_upstream")), (received, duplicate, lost));
    }
    // The same Frame-Id of another drain is another POST.
    let other = ("Logplex-Drain-Token", "d.00000000-0972-4e18-b912-94dc2d099dac");
    assert_eq!(client.post("/", &[LOGPLEX, ID, other], body.as_bytes()).status / 100, 2);
    let ended = weir.stop();
    assert_eq!(figure(ended.clean(), "/sinks/events/delivered"), 8);
    let events = events(&ended.dir.path().join("out"));
    let ids: Vec<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    // The place counts from the end of the POST, so a retry's notice stands before what the first try had.
    let places = [3, 2, 1, 4, 4, 3, 2, 1];
    assert_eq!(ids, places.map(|place| format!("{}-{place}", ID.1)));
}

#[test]
fn strangers_are_refused_and_counted() {
    let closed = format!(", users: {{heroku: secret}}, drain_tokens: [{}]", TOKEN.1);
    let weir = Weir::start(&pipeline(&[listener("drain", "http", &closed)], &[FILES]));
    let mut client = Client::connect(weir.address("drain"));
    let count = ("Logplex-Msg-Count", "1");
    // heroku:secret, heroku:wrong
    let (right, wrong) = ("Basic aGVyb2t1OnNlY3JldA==", "Basic aGVyb2t1Ondyb25n");
    let mut post = |login: &str, token: &str| {
        let headers = [LOGPLEX, count, ("Authorization", login), ("Logplex-Drain-Token", token)];
        client.post("/", &headers, posted("hello").as_bytes()).status
    };
    assert_eq!(post(wrong, TOKEN.1), 401);
    assert_eq!(post("Bearer heroku", TOKEN.1), 401);
    assert_eq!(post(right, "d.0"), 401);
    assert_eq!(post(right, TOKEN.1) / 100, 2);
    let ended = weir.stop();
    let books = ended.clean();
    let of = |name: &str| figure(books, &format!("/listeners/drain/{name}"));
    assert_eq!((of("received"), of("apart/refused_requests"), of("apart/refused_messages")), (1, 3, 3));
    assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);
}

#[test]
fn what_cannot_be_safe_in_time_is_503_and_a_retry_loses_and_doubles_nothing() {
    let screen = "{name: screen, kind: stdout}";
    let (weir, mut out) = Weir::start_piped(&pipeline(&[listener("drain", "http", "")], &[screen]));
    let body: String = (0..2000).map(|n| posted(&format!("line {n}"))).collect();
    let mut client = Client::connect(weir.address("drain"));
    let began = Instant::now();
    assert_eq!(client.post("/", &[LOGPLEX, ID], body.as_bytes()).status, 503);
    let waited = began.elapsed();
    assert!(waited > Duration::from_millis(2900) && waited < Duration::from_millis(4500), "{waited:?}");

    let reader = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        text
    });
    assert_eq!(client.post("/", &[LOGPLEX, ID], body.as_bytes()).status / 100, 2);
    let ended = weir.stop();
    let books = ended.clean();
    assert_eq!(figure(books, "/listeners/drain/received"), 4000);
    assert_eq!(figure(books, "/listeners/drain/duplicate"), 2000);
    let text = reader.join().unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2000);
    assert!(lines.iter().enumerate().all(|(n, event)| event["message"] == format!("line {n}")));
}

#[test]
fn a_sender_that_retries_outlives_a_blocked_sink() {
    let screen = "{name: screen, kind: stdout}";
    let text = format!("slots: 8\n{}", pipeline(&[listener("drain", "http", "")], &[screen, FILES]));
    let (weir, mut out) = Weir::start_piped(&text);
    let options = Options {
        connections: 4,
        rate: Some(5000.0),
        for_time: Duration::from_secs(5),
        tries: Tries::Forever,
        ..load(&weir, "http", "drain")
    };
    let summary = std::thread::scope(|scope| {
        let sender = scope.spawn(|| send(&options));
        std::thread::sleep(Duration::from_secs(4));
        scope.spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        let summary = sender.join().unwrap();
        assert!(summary.retries > 0, "the sink never blocked: {}", summary.text());
        let ended = weir.stop();
        assert_closed(ended.clean());
        assert_eq!(figure(&ended.books, "/sinks/screen/delivered"), summary.events);
        let report = check(ended.dir.path(), &[&summary.record], check::Options::default());
        assert!(report.clean(), "{}", report.text());
        summary
    });
    assert!(summary.all_sent(), "{}", summary.text());
}

#[test]
fn ingest_is_served_beside_the_drain() {
    let weir = Weir::start(&pipeline(&[listener("drain", "http", "")], &[FILES]));
    let mut client = Client::connect(weir.address("drain"));
    let json = ("Content-Type", "application/json");
    let table: [(&[u8], u16); 3] = [
        (br#"{"message":"one","source":"shop","severity":"error","price":3}"#, 2),
        (br#"[{"message":"two"},{"message":"three"}]"#, 2),
        (b"{", 4),
    ];
    for (body, class) in table {
        let answer = client.post("/ingest", &[json], body);
        assert_eq!(answer.status / 100, class, "{answer:?}");
    }
    let csv = client.post("/ingest", &[("Content-Type", "text/csv")], b"a,b");
    assert_eq!(csv.status, 415);
    let ended = weir.stop();
    assert_eq!(figure(ended.clean(), "/listeners/drain/received"), 3);
    assert_eq!(messages(ended.dir.path()), ["one", "two", "three"]);
    let first = &events(&ended.dir.path().join("out"))[0];
    assert_eq!((&first["source"], &first["severity"]), (&"shop".into(), &"error".into()));
    assert_eq!(first["fields"]["price"], 3);
}

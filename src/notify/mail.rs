//! One mail by SMTP: plain, after STARTTLS, or over TLS.
//!
//! Invariant: a password goes over an encrypted connection only, and into no message.

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;

use super::note::Note;
use super::reach::{Failure, Reach};
use super::say;
use crate::config::{Mail, Scheme};

/// Sends a note to all of its receivers. Returns what the server said.
pub async fn send(reach: &Reach, mail: &Mail, note: &Note) -> Result<String, Failure> {
    let message = message(mail, note)?;
    let hello = ClientId::default();
    let stream = Box::new(reach.connect().await?);
    let mut connection =
        AsyncSmtpConnection::connect_with_transport(stream, &hello).await.map_err(|error| failed(&error))?;
    if reach.url.scheme == Scheme::SmtpThenTls {
        let tls = TlsParameters::new_rustls(reach.url.host.clone()).map_err(|error| failed(&error))?;
        connection.starttls(tls, &hello).await.map_err(|error| failed(&error))?;
    }
    if let Some(sign_in) = mail.sign_in.as_ref().filter(|_| reach.url.scheme.is_encrypted()) {
        let (user, password) = (sign_in.username.as_str(), sign_in.password.expose());
        let credentials = Credentials::new(user.to_string(), password.to_string());
        let signed_in = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await;
        signed_in
            .map_err(|error| Failure::again(format!("sign-in: {}", without(&error.to_string(), password))))?;
    }
    let sent = connection.send(message.envelope(), &message.formatted()).await;
    match sent {
        Ok(answer) => {
            // The mail is taken; how the connection ends does not matter.
            let _ = connection.quit().await;
            Ok(format!("answered {}", answer.code()))
        }
        Err(error) if error.is_permanent() => Err(Failure::refused(shown(&error))),
        Err(error) => Err(failed(&error)),
    }
}

fn message(mail: &Mail, note: &Note) -> Result<Message, Failure> {
    let mailbox =
        |text: &str| text.parse::<Mailbox>().map_err(|_| Failure::refused("an address is no mailbox"));
    let (subject, text) = say::mail(note);
    let mut builder = Message::builder().from(mailbox(mail.from.as_str())?).subject(subject);
    for to in &mail.to {
        builder = builder.to(mailbox(to.as_str())?);
    }
    builder
        // The same mail sent twice is one where mails are kept by their ids.
        .message_id(Some(format!("<{}.{}@weir>", note.id, note.state.name())))
        .header(ContentType::TEXT_PLAIN)
        .body(text)
        .map_err(|error| Failure::refused(error.to_string()))
}

fn failed(error: &lettre::transport::smtp::Error) -> Failure {
    Failure::again(shown(error))
}

/// An error with its reasons, on one line.
fn shown(error: &lettre::transport::smtp::Error) -> String {
    let mut text = error.to_string();
    let mut reason = std::error::Error::source(error);
    while let Some(error) = reason {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(&format!(": {more}"));
        }
        reason = error.source();
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

fn without(text: &str, secret: &str) -> String {
    if secret.is_empty() { text.to_string() } else { text.replace(secret, "***") }
}

//! What a person is told when something goes wrong, whatever it was that refused: a handler, an extractor, the session layer, a time-out.
//! Programs get the JSON that was made. Headers stay as they are: a cookie that is set, or taken away, is.

use askama::Template;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next as Inner;
use axum::response::{IntoResponse as _, Response};
use jackline::SessionError;
use jackline::session::Refusal;

use super::frame::page;
use super::{Frame, Next, Wants, see_other};

/// In the extensions of an answer that is an error of ours: what it says.
#[derive(Debug, Clone)]
pub struct ErrorText(pub String);

/// Paths that answer `GET` with a page that has forms. Any other form's page is one step up from where the form goes.
const FORMS: [&str; 3] = ["/login", "/password", "/reauth"];

/// Where somebody is on their way in, to which there is no way back.
const WAY_IN: &str = "/login";

/// Turns what is no page into one, for people.
pub async fn for_people(request: Request, next: Inner) -> Response {
    if Wants::of(request.headers()) == Wants::Json {
        return next.run(request).await;
    }
    let here = Here::of(&request);
    let response = next.run(request).await;
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || is_page(response.headers()) {
        return response;
    }
    let refusal = response.extensions().get::<Refusal>();
    let other = match refusal.map(Refusal::error) {
        Some(SessionError::NotAuthenticated | SessionError::Ended) => here.sign_in(None),
        Some(SessionError::Expired(_)) => here.sign_in(Some("expired")),
        // A form of this very site that has lost its session: the browser keeps a cookie no longer than the session may idle.
        Some(SessionError::NoSessionToProtect) => here.sign_in(Some("expired")),
        Some(SessionError::LoginTooSlow | SessionError::LoginRevoked) => {
            here.sign_in(Some("again"))
        }
        Some(SessionError::RecentAuthenticationRequired) => see_other(&here.page.after("/reauth")),
        // What programs are told says nothing to people.
        Some(SessionError::CrossSite) => error_page(
            status,
            "The form was too old, or came from elsewhere. Load its page again, and send it once more",
        ),
        Some(SessionError::Forbidden) => error_page(status, "It is not for your account"),
        Some(error) => error_page(status, error.public_message()),
        None => match response.extensions().get::<ErrorText>() {
            Some(ErrorText(said)) => error_page(status, said),
            None => error_page(status, ""),
        },
    };
    dressed(response, other)
}

/// `page` with the headers of `bare`, but for those about its body and those that `page` has a word of its own for.
fn dressed(bare: Response, mut page: Response) -> Response {
    let redirects = page.status().is_redirection();
    let headers = page.headers_mut();
    for (name, value) in bare.headers() {
        if *name == header::SET_COOKIE || *name == header::VARY {
            headers.append(name, value.clone());
        } else if *name == header::CONTENT_LENGTH || (*name == header::RETRY_AFTER && redirects) {
            continue;
        } else if !headers.contains_key(name) {
            headers.insert(name, value.clone());
        }
    }
    if redirects {
        headers.remove(header::CONTENT_TYPE);
    }
    page
}

fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// Where the person is, and so where to bring them back to.
struct Here {
    page: Next,
}

impl Here {
    fn of(request: &Request) -> Self {
        let uri = request.uri();
        let path = uri.path();
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if path.starts_with(WAY_IN) {
            return Self {
                page: Next::default(),
            };
        }
        let matched = request.extensions().get::<MatchedPath>();
        let has_form = matched.is_some_and(|path| FORMS.contains(&path.as_str()));
        let path = match path {
            // Its page is the answer to a form, and cannot be asked for.
            "/factors/totp/confirm" => "/factors/totp",
            path => path,
        };
        let page = match path.rsplit_once('/') {
            _ if reads => uri.path_and_query().map_or(path, |whole| whole.as_str()),
            Some((above, _)) if !has_form && !above.is_empty() => above,
            _ => path,
        };
        Self {
            page: Next::parse(page),
        }
    }

    fn sign_in(&self, said: Option<&str>) -> Response {
        let mut address = self.page.after("/login");
        if let Some(said) = said {
            address.push(if address.contains('?') { '&' } else { '?' });
            address.push_str("said=");
            address.push_str(said);
        }
        see_other(&address)
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    frame: Frame,
    heading: &'a str,
    said: &'a str,
    advice: &'a str,
}

fn error_page(status: StatusCode, said: &str) -> Response {
    let (heading, advice) = match status {
        StatusCode::NOT_FOUND => (
            "There is no such page",
            "The address may be mistyped, or the page may be gone.",
        ),
        StatusCode::METHOD_NOT_ALLOWED => (
            "That cannot be done here",
            "Go to the page itself, and try from there.",
        ),
        StatusCode::FORBIDDEN => ("That is not allowed", ""),
        StatusCode::TOO_MANY_REQUESTS => ("Too many attempts", "Wait a little, then try again."),
        StatusCode::SERVICE_UNAVAILABLE => (
            "We cannot answer right now",
            "Whoever was signed in still is. Try again in a moment.",
        ),
        _ if status.is_server_error() => (
            "Something went wrong",
            "It is our fault, and it was noted. Try again in a moment.",
        ),
        _ => ("That did not work", "Go back, and try again."),
    };
    // The heading says it already.
    let said = match status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::TOO_MANY_REQUESTS => {
            ""
        }
        _ if status.is_server_error() => "",
        _ => said,
    };
    let error = ErrorPage {
        frame: Frame::for_anybody("Error"),
        heading,
        said,
        advice,
    };
    page(status, &error).unwrap_or_else(|error| error.into_response())
}

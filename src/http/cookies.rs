//! The two cookies of a sign-in.
//!
//! Not here: whether a request may use them (`origin`).

use std::time::Duration;

use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use secrecy::{ExposeSecret as _, SecretString};

use crate::auth::RefreshToken;
use crate::config::{self, Auth};

/// The access token of the cookie.
pub fn access_token<'a>(jar: &'a CookieJar, config: &Auth) -> Option<&'a str> {
    let cookie = jar.get(&config.cookies.access_name)?;
    Some(cookie.value()).filter(|value| !value.is_empty())
}

/// The refresh token of the cookie; `None` also for what cannot be one.
pub fn refresh_token(jar: &CookieJar, config: &Auth) -> Option<RefreshToken> {
    let cookie = jar.get(&config.cookies.refresh_name)?;
    RefreshToken::parse(cookie.value())
}

/// Sets both cookies, each for as long as its token lives.
pub fn set(jar: CookieJar, config: &Auth, access: &str, refresh: &SecretString) -> CookieJar {
    let cookies = &config.cookies;
    let access = cookie(cookies, &cookies.access_name, access, config.token_lifetime);
    let refresh = cookie(
        cookies,
        &cookies.refresh_name,
        refresh.expose_secret(),
        config.refresh_lifetime,
    );
    jar.add(access).add(refresh)
}

/// Removes both. A browser removes a cookie only under the path and domain that it was set with.
pub fn remove(jar: CookieJar, config: &Auth) -> CookieJar {
    let cookies = &config.cookies;
    let removed = |name: &str| cookie(cookies, name, "", Duration::ZERO);
    jar.add(removed(&cookies.access_name))
        .add(removed(&cookies.refresh_name))
}

fn cookie(cookies: &config::Cookies, name: &str, value: &str, lives: Duration) -> Cookie<'static> {
    let mut cookie = Cookie::new(name.to_owned(), value.to_owned());
    cookie.set_http_only(true);
    cookie.set_secure(cookies.secure);
    cookie.set_path(cookies.path.clone());
    cookie.set_same_site(match cookies.same_site {
        config::SameSite::Lax => SameSite::Lax,
        config::SameSite::Strict => SameSite::Strict,
        config::SameSite::None => SameSite::None,
    });
    // What is too long for the header lives as long as the browser runs.
    if let Ok(max_age) = lives.try_into() {
        cookie.set_max_age(Some(max_age));
    }
    if let Some(domain) = &cookies.domain {
        cookie.set_domain(domain.clone());
    }
    cookie
}

//! Sign-in at an OpenID provider, by the authorization code flow with PKCE
//! (<https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth>).
//!
//! Not here: who the person is to us, and what keeps an [`Attempt`] while the browser is away.
//!
//! Invariant: an [`Identity`] was signed by a key that the issuer publishes, for us, for this attempt.

mod http;

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreErrorResponseType, CoreIdToken,
    CoreIdTokenClaims, CoreJwsSigningAlgorithm, CoreProviderMetadata,
};
use openidconnect::{
    AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken,
    DiscoveryError, EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl, Nonce,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
    SignatureVerificationError, StandardErrorResponse, TokenResponse as _,
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use self::http::{Http, HttpError};
use crate::config;
use crate::config::is_safe;

/// How long a provider's endpoints and keys are believed; an unknown key asks for them at once.
const METADATA_LIFE: Duration = Duration::from_hours(1);
/// Signatures that only the provider can make. HMAC is left out: its key would be our client secret.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];
/// <https://openid.net/specs/openid-connect-core-1_0.html#IDToken>
const MAX_SUBJECT_BYTES: usize = 255;

/// One identity provider.
pub struct Provider {
    settings: config::Issuer,
    issuer: IssuerUrl,
    redirect: RedirectUrl,
    http: Http,
    metadata: Cache<(), Arc<CoreProviderMetadata>>,
}

/// What ties the answer of a provider to the browser that went there. It is secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct Attempt {
    state: String,
    nonce: String,
    /// Of PKCE.
    verifier: String,
}

/// Whom a provider vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Unique and never used again at its issuer.
    pub subject: String,
    pub email: Option<String>,
    /// Whether the provider says that the address is the person's.
    pub email_verified: bool,
    pub name: Option<String>,
}

/// Why a provider does not sign somebody in.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// It cannot be reached, or answers that it cannot serve now.
    #[error("the identity provider does not answer")]
    Unavailable(#[source] Source),
    /// It does not accept us, or is not what the settings say.
    #[error("the identity provider and its settings do not fit")]
    Misconfigured(#[source] Source),
    /// The code was used, has expired, or belongs to another attempt.
    #[error("the identity provider does not accept this code; sign in again")]
    CodeRefused,
    /// What it answered is not an ID token for this attempt.
    #[error("the identity provider's answer does not belong to this sign-in; sign in again")]
    Untrusted(#[source] Source),
}

type Source = Box<dyn std::error::Error + Send + Sync>;
type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;
type TokenError = RequestTokenError<HttpError, StandardErrorResponse<CoreErrorResponseType>>;

impl Provider {
    /// Talks to nobody yet. `redirect_uri` is where the provider sends browsers back to.
    pub fn of(settings: config::Issuer, redirect_uri: String) -> Result<Self, OidcError> {
        let misfit = |error: Source| OidcError::Misconfigured(error);
        Ok(Self {
            issuer: IssuerUrl::new(settings.issuer.clone()).map_err(|e| misfit(e.into()))?,
            redirect: RedirectUrl::new(redirect_uri).map_err(|e| misfit(e.into()))?,
            http: Http::build().map_err(|e| misfit(e.into()))?,
            metadata: Cache::builder().time_to_live(METADATA_LIFE).build(),
            settings,
        })
    }

    /// Where the provider sends browsers back to.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect
    }

    /// Whether this is how the provider names itself.
    pub fn is_issuer(&self, issuer: &str) -> bool {
        self.settings.issuer == issuer
    }

    /// Begins an attempt; the address is where the browser goes.
    pub async fn begin(&self) -> Result<(Attempt, String), OidcError> {
        let metadata = self.metadata().await?;
        let client = self.client(&metadata);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, state, nonce) = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .add_scopes(self.settings.scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(challenge)
            .url();
        let attempt = Attempt {
            state: state.into_secret(),
            nonce: nonce.secret().clone(),
            verifier: verifier.into_secret(),
        };
        Ok((attempt, url.into()))
    }

    /// Ends an attempt with the code that the browser brought back.
    pub async fn finish(&self, attempt: Attempt, code: String) -> Result<Identity, OidcError> {
        let metadata = self.metadata().await?;
        let nonce = Nonce::new(attempt.nonce);
        let client = self.client(&metadata);
        let answer = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| OidcError::Misconfigured(error.into()))?
            .set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier))
            .request_async(&self.http)
            .await
            .map_err(refused)?;
        let token = answer
            .id_token()
            .ok_or_else(|| OidcError::Untrusted("it has no ID token".into()))?;
        let verified = verify(&client, token, &nonce);
        if !matches!(&verified, Err(ClaimsVerificationError::SignatureVerification(why)) if is_stale(why))
        {
            return identity(verified.map_err(|error| OidcError::Untrusted(error.into()))?);
        }
        // The provider may have changed its keys since we asked for them.
        self.metadata.invalidate(&()).await;
        let client = self.client(&*self.metadata().await?);
        let verified = verify(&client, token, &nonce);
        identity(verified.map_err(|error| OidcError::Untrusted(error.into()))?)
    }

    /// Its endpoints and keys. Those who ask at the same time share one look-up.
    async fn metadata(&self) -> Result<Arc<CoreProviderMetadata>, OidcError> {
        let found = self.metadata.try_get_with((), self.discover()).await;
        found.map_err(|error| match &*error {
            DiscoveryError::Request(HttpError::Unsafe) | DiscoveryError::Validation(_) => {
                OidcError::Misconfigured(error.into())
            }
            _ => OidcError::Unavailable(error.into()),
        })
    }

    async fn discover(&self) -> Result<Arc<CoreProviderMetadata>, DiscoveryError<HttpError>> {
        let metadata =
            CoreProviderMetadata::discover_async(self.issuer.clone(), &self.http).await?;
        if !is_safe(metadata.authorization_endpoint().url()) {
            return Err(DiscoveryError::Request(HttpError::Unsafe));
        }
        Ok(Arc::new(metadata))
    }

    fn client(&self, metadata: &CoreProviderMetadata) -> Client {
        let secret = self.settings.client_secret.expose_secret().to_owned();
        let client = CoreClient::from_provider_metadata(
            metadata.clone(),
            ClientId::new(self.settings.client_id.clone()),
            Some(ClientSecret::new(secret)),
        );
        let methods = metadata.token_endpoint_auth_methods_supported();
        let takes = |method| methods.is_some_and(|all| all.contains(&method));
        // Without a list it is the header (https://openid.net/specs/openid-connect-discovery-1_0.html).
        let in_body = !takes(CoreClientAuthMethod::ClientSecretBasic)
            && takes(CoreClientAuthMethod::ClientSecretPost);
        client
            .set_redirect_uri(self.redirect.clone())
            .set_auth_type(if in_body {
                AuthType::RequestBody
            } else {
                AuthType::BasicAuth
            })
    }
}

impl Attempt {
    /// Whether a browser came back from this attempt; how long it takes tells nothing.
    pub fn has_state(&self, state: &str) -> bool {
        CsrfToken::new(self.state.clone()) == CsrfToken::new(state.to_owned())
    }
}

impl Identity {
    /// The address, if the provider vouches for it.
    pub fn verified_email(&self) -> Option<&str> {
        self.email.as_deref().filter(|_| self.email_verified)
    }
}

/// Checks signature, issuer, audience, expiry and nonce.
fn verify<'a>(
    client: &Client,
    token: &'a CoreIdToken,
    nonce: &Nonce,
) -> Result<&'a CoreIdTokenClaims, ClaimsVerificationError> {
    let verifier = client.id_token_verifier().set_allowed_algs(ALGORITHMS);
    token.claims(&verifier, nonce)
}

/// A key without an id is taken for the one we know, whose signature then does not fit.
fn is_stale(error: &SignatureVerificationError) -> bool {
    matches!(
        error,
        SignatureVerificationError::NoMatchingKey | SignatureVerificationError::CryptoError(_)
    )
}

fn identity(claims: &CoreIdTokenClaims) -> Result<Identity, OidcError> {
    let subject = claims.subject().as_str();
    if subject.is_empty() || subject.len() > MAX_SUBJECT_BYTES || subject.contains('\0') {
        return Err(OidcError::Untrusted("its subject is not usable".into()));
    }
    let name = claims.name().and_then(|names| names.get(None));
    Ok(Identity {
        subject: subject.to_owned(),
        email: claims.email().map(|email| email.to_string()),
        email_verified: claims.email_verified() == Some(true),
        name: name.map(|name| name.to_string()),
    })
}

fn refused(error: TokenError) -> OidcError {
    use CoreErrorResponseType::{Extension, InvalidGrant};
    match &error {
        RequestTokenError::ServerResponse(answer) => match answer.error() {
            InvalidGrant => OidcError::CodeRefused,
            Extension(word) if word == "temporarily_unavailable" || word == "server_error" => {
                OidcError::Unavailable(error.into())
            }
            _ => OidcError::Misconfigured(error.into()),
        },
        RequestTokenError::Request(HttpError::Unsafe) => OidcError::Misconfigured(error.into()),
        _ => OidcError::Unavailable(error.into()),
    }
}

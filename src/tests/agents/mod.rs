//! Voice agents over NATS: who gets in, what their calls come to, and what those cannot do who mean harm.

mod attacks;
mod documentation;
mod headers;
mod publishing;
mod revocation;
mod scene;
mod sign_in;
mod wire;

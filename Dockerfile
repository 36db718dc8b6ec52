# syntax=docker/dockerfile:1
# One image with every program; the command chooses which one runs (see compose.yaml).

FROM rust:1.95-bookworm AS build
# libopus is built from source.
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
# Queries are checked against .sqlx: the build needs no database.
ENV SQLX_OFFLINE=true
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --workspace --exclude aftercall-all --bins \
    && mkdir /programs \
    && cd target/release \
    && cp aftercall ingress storage transcription analysis analytics maintenance /programs/

FROM debian:bookworm-slim
# curl asks for readiness in health checks.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/aftercall --create-home aftercall \
    && install -d -o aftercall -g aftercall -m 0700 /var/lib/aftercall/keys
COPY --from=build /programs/ /usr/local/bin/
USER aftercall
WORKDIR /var/lib/aftercall
ENV JWT_KEYS_DIR=/var/lib/aftercall/keys LOG_FORMAT=json
CMD ["ingress"]

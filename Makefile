# Everything a developer does here. Each target installs what it needs below .local, as root or not,
# and names what it cannot install.

TOOLS  := $(CURDIR)/.local/tools/make
TARGET := $(or $(CARGO_TARGET_DIR),target)
ALL    := $(TARGET)/debug/aftercall-all
CARGO  := --workspace --all-features
# What is measured, and what measures it: one set of packages, so that all is compiled once.
BENCH  := --package aftercall --package aftercall-all --package aftercall-analytics \
	--package aftercall-maintenance --all-features
# Passed on to the bench of calls, for example "--parts rounds --rounds 1 --seconds 5".
CALLS  ?=

# What the machine has comes first: .ci/tools has installed only what it lacks.
export PATH := $(PATH):$(HOME)/.cargo/bin:$(TOOLS)/cmake/cmake/data/bin:$(TOOLS)/cargo-nextest/bin:$(TOOLS)/cargo-deny/bin
# Queries are checked against .sqlx: no build needs a database.
export SQLX_OFFLINE := true

# Tests and checks run on their own servers, whatever the shell's environment names.
OWN := env -u NATS_URL -u NATS_MONITOR_URL -u NATS_INGEST_URL -u NATS_SYSTEM_URL \
	-u NATS_AGENT_ISSUER_SEED -u DATABASE_URL -u DATABASE_ADMIN_URL \
	-u AWS_ENDPOINT_URL -u AWS_ENDPOINT_URL_S3 -u AWS_ENDPOINT_URL_TRANSCRIBE -u AWS_PROFILE \
	-u TRANSCRIPTION_BASE_URL -u TRANSCRIPTION_PROVIDER \
	-u ANALYSIS_PROVIDER -u OPENROUTER_API_KEY -u OPENAI_API_KEY
TEST_SERVERS := $(OWN) $(ALL) servers --data-dir .local/test --unsynced --exec

BENCH_SERVERS := $(OWN) TRANSCRIPTION_BASE_URL=unused $(ALL) servers --data-dir .local/bench --exec

.DEFAULT_GOAL := help
.PHONY: help demo up servers test test-aws test-model soak chaos bench check fmt sqlx build

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: build ## Run a spoken call through the whole pipeline and show what comes out
	@exec $(ALL) demo

up: build ## Serve at http://127.0.0.1:$PORT (8000) on embedded servers, until Ctrl-C
	@exec $(ALL) up

servers: build ## Start only the embedded servers and print the environment to use them
	@exec $(ALL) servers

test: build ## Run all tests against real servers
	@.ci/tools cargo-nextest
	@echo "building the tests"
	@cargo nextest run $(CARGO) --no-run
	@echo "starting the servers and running the tests"
	@$(TEST_SERVERS) cargo nextest run $(CARGO)
	@echo "running the examples in the documentation"
	@cargo test $(CARGO) --doc

test-aws: build ## Transcribe the sample call in your AWS account (AWS_PROFILE, AFTERCALL_TEST_BUCKET, AWS_REGION)
	@.ci/tools cargo-nextest
	@cargo nextest run $(CARGO) --no-run
	@$(TEST_SERVERS) env AWS_PROFILE="$(AWS_PROFILE)" AWS_REGION="$(or $(AWS_REGION),us-east-1)" \
		AFTERCALL_TEST_BUCKET="$(AFTERCALL_TEST_BUCKET)" \
		cargo nextest run $(CARGO) --run-ignored only -E 'test(the_service_transcribes_the_sample_call)'

test-model: build ## Analyse a call with a real, small language model on this machine
	@.ci/tools cargo-nextest
	@echo "building the tests"
	@cargo nextest run $(CARGO) --no-run
	@echo "starting the servers and the model, and asking it"
	@$(TEST_SERVERS) cargo nextest run $(CARGO) --profile soak --run-ignored only \
		-E 'test(=peer::a_small_model_is_kept_to_the_contract)'

soak: build ## Measure long recordings, large uploads and memory
	@.ci/tools cargo-nextest
	@echo "building the tests"
	@cargo nextest run $(CARGO) --no-run
	@echo "starting the servers and measuring, which takes a while"
	@$(TEST_SERVERS) cargo nextest run $(CARGO) --profile soak --run-ignored only -E 'binary(soak)'

chaos: build ## Kill programs and servers at random while calls come in
	@.ci/tools cargo-nextest
	@echo "building the tests"
	@cargo nextest run $(CARGO) --no-run
	@echo "starting the servers and killing them, which takes a while"
	@$(TEST_SERVERS) cargo nextest run $(CARGO) --profile soak --run-ignored only -E 'binary(chaos)'

bench: build ## Measure sign-ins beside other work, and calls beside a baseline without a broker
	@echo "building with optimisation (minutes the first time)"
	@cargo build --release $(BENCH) --bins --bench logins --bench calls
	@echo "starting the servers and measuring"
	@$(BENCH_SERVERS) cargo bench $(BENCH) --bench logins
	@$(BENCH_SERVERS) cargo bench $(BENCH) --bench calls -- $(CALLS)

check: ## Check format, lints, documentation and dependencies
	@.ci/tools cmake cargo-deny
	@echo "checking format, lints, documentation and dependencies"
	@cargo fmt --all --check
	@cargo clippy $(CARGO) --all-targets -- -D warnings
	@RUSTDOCFLAGS="-D warnings" cargo doc $(CARGO) --no-deps
	@cargo deny check licenses bans sources

fmt: ## Format the code
	@.ci/tools
	@cargo fmt --all

sqlx: ## Describe the queries anew after a change of SQL, into .sqlx
	@.ci/tools cmake
	@echo "starting postgres"
	@test -x $(ALL) || cargo build $(CARGO)
	@$(OWN) NATS_URL=unused AWS_ENDPOINT_URL=unused TRANSCRIPTION_BASE_URL=unused \
		$(ALL) servers --data-dir .local/sqlx --unsynced --exec .ci/sqlx

# On standard error, since the output of `make servers` is for a shell.
build:
	@.ci/tools cmake
	@echo "building (minutes the first time)" >&2
	@cargo build $(CARGO)

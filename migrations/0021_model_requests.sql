-- What language models were asked, what it cost, and the fields that a session wants filled.

-- One row a request to a model, written before it is sent: what a process that dies has spent is not lost.
create table model_requests (
    account_id uuid not null,
    session_id uuid not null,
    -- Of the analysis.
    generation integer not null,
    id uuid not null,
    run integer not null,
    -- What it was for: `part 2 of 3`, `whole`.
    purpose text not null,
    model text not null,
    -- Hash of everything that was asked: an answer to the same question is not paid for twice.
    question bytea not null,
    -- sent: no end is known. failed: no answer, or none that could be used.
    state text not null default 'sent'
        constraint model_requests_state_known check (state in ('sent', 'succeeded', 'failed')),
    -- The kind of failure; never what the model said.
    error text,
    -- As the server counted; null where it did not tell.
    input_tokens bigint constraint model_requests_input_tokens_count check (input_tokens >= 0),
    output_tokens bigint constraint model_requests_output_tokens_count check (output_tokens >= 0),
    -- Millionths of the currency's unit.
    amount_micros bigint constraint model_requests_amount_micros_count check (amount_micros >= 0),
    currency text,
    price_version text,
    -- What the model said: of an unfinished analysis, so that it is not asked again, and of one that was
    -- given up, for whoever looks into it. Made of what people said: it goes with the analysis.
    answer text,
    sent_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    constraint model_requests_pkey primary key (account_id, session_id, generation, id),
    constraint model_requests_analysis_fkey foreign key (account_id, session_id, generation)
        references analyses (account_id, session_id, generation) on delete cascade,
    constraint model_requests_amount_has_currency check (amount_micros is null or currency is not null)
);

alter table model_requests enable row level security;
alter table model_requests force row level security;
create policy model_requests_worker on model_requests to aftercall_analysis using (true) with check (true);
grant select, insert on model_requests to aftercall_analysis;
grant update (state, error, input_tokens, output_tokens, amount_micros, currency, price_version, answer, ended_at)
    on model_requests to aftercall_analysis;

-- A JSON Schema whose properties every analysis of the session fills; null asks for none.
alter table sessions add column custom_fields_schema jsonb constraint sessions_custom_fields_schema_object
    check (jsonb_typeof(custom_fields_schema) = 'object');
grant update (custom_fields_schema) on sessions to aftercall_api;
grant select (custom_fields_schema) on sessions to aftercall_analysis;

-- Analyses: immutable generations of one versioned document (docs/schemas/analysis.v1.json).

create table analyses (
    account_id uuid not null,
    session_id uuid not null,
    generation integer not null,
    transcript_generation integer not null,
    run integer not null default 1,
    state text not null default 'requested'
        constraint analyses_state_known check (state in ('requested', 'done', 'failed')),
    engine text,
    document jsonb,
    -- The sentence that explains a failure.
    error text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint analyses_pkey primary key (account_id, session_id, generation),
    constraint analyses_transcript_fkey foreign key (account_id, session_id, transcript_generation)
        references transcripts (account_id, session_id, generation) on delete cascade,
    constraint analyses_done_has_document check (state <> 'done' or (document is not null and engine is not null))
);
create index analyses_waiting on analyses (updated_at) where state = 'requested';

alter table analyses enable row level security;
alter table analyses force row level security;

create policy analyses_visible on analyses to aftercall_api
    using (account_id = (select app_account())
        and exists (select from sessions s where s.account_id = analyses.account_id and s.id = session_id));
create policy analyses_workers on analyses
    to aftercall_transcription, aftercall_analysis, aftercall_maintenance using (true) with check (true);

-- The ingress asks for an analysis, the transcription worker for the first of a transcript.
grant select, insert on analyses to aftercall_api, aftercall_transcription;
grant update (run, state, error, updated_at) on analyses to aftercall_api, aftercall_maintenance;
grant select on analyses to aftercall_analysis, aftercall_maintenance;
grant update (state, engine, document, error, updated_at) on analyses to aftercall_analysis;

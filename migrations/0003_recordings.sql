-- Uploads in progress and the recordings that came of them.

-- A row precedes the first byte in the object store, so that whatever a dead process leaves behind
-- can be found and removed.
create table uploads (
    account_id uuid not null,
    id uuid not null,
    session_id uuid not null,
    user_id uuid not null constraint uploads_user_fkey references users (id),
    -- The recording that this upload becomes; also what its key in the object store is made of.
    recording_id uuid not null,
    object_key text not null,
    -- Null until the object store has opened the multipart upload.
    multipart_id text,
    idempotency_key text,
    state text not null default 'running'
        constraint uploads_state_known check (state in ('running', 'finished', 'abandoned')),
    created_at timestamptz not null default now(),
    -- Renewed while bytes arrive; what has been silent for long is swept.
    active_at timestamptz not null default now(),
    constraint uploads_pkey primary key (account_id, id),
    constraint uploads_session_fkey foreign key (account_id, session_id)
        references sessions (account_id, id) on delete cascade
);
-- An idempotency key belongs to user and path. An abandoned upload frees its key.
create unique index uploads_idempotency_unique on uploads (account_id, user_id, session_id, idempotency_key)
    where idempotency_key is not null and state <> 'abandoned';
create index uploads_unfinished on uploads (active_at) where state = 'running';

create table recordings (
    account_id uuid not null,
    id uuid not null,
    session_id uuid not null,
    object_key text not null,
    -- Place in the session, from 0, in the order of upload.
    position integer not null,
    file_name text,
    content_type text not null,
    size_bytes bigint not null constraint recordings_size_positive check (size_bytes > 0),
    sha256 bytea not null constraint recordings_sha256_length check (length(sha256) = 32),
    state text not null default 'uploaded'
        constraint recordings_state_known check (state in ('uploaded', 'stored', 'failed')),
    run integer not null default 1,
    late boolean not null,
    duration_ms bigint,
    channels integer,
    sample_rate_hz integer,
    created_at timestamptz not null default now(),
    -- When its state changed, or its event was last sent: what the reconciler goes by.
    updated_at timestamptz not null default now(),
    constraint recordings_pkey primary key (account_id, id),
    constraint recordings_position_unique unique (account_id, session_id, position),
    constraint recordings_session_fkey foreign key (account_id, session_id)
        references sessions (account_id, id) on delete cascade
);
create index recordings_by_id on recordings (id);
create index recordings_unchecked on recordings (updated_at) where state = 'uploaded';

alter table uploads enable row level security;
alter table uploads force row level security;
alter table recordings enable row level security;
alter table recordings force row level security;

create policy uploads_own on uploads to aftercall_api
    using (account_id = (select app_account()) and user_id = (select app_user()))
    with check (account_id = (select app_account()) and user_id = (select app_user())
        and exists (select from sessions s where s.account_id = uploads.account_id and s.id = session_id));
create policy uploads_sweep on uploads to aftercall_maintenance using (true) with check (true);

create policy recordings_visible on recordings to aftercall_api
    using (account_id = (select app_account())
        and exists (select from sessions s where s.account_id = recordings.account_id and s.id = session_id));
create policy recordings_workers on recordings
    to aftercall_storage, aftercall_transcription, aftercall_analysis, aftercall_maintenance
    using (true) with check (true);

grant select, insert on uploads to aftercall_api;
grant update (multipart_id, state, active_at) on uploads to aftercall_api;
grant select, delete on uploads to aftercall_maintenance;
grant update (state) on uploads to aftercall_maintenance;

grant select, insert on recordings to aftercall_api;
grant update (state, run, updated_at) on recordings to aftercall_api, aftercall_maintenance;
grant select on recordings to aftercall_storage, aftercall_transcription, aftercall_analysis, aftercall_maintenance;
grant update (state, duration_ms, channels, sample_rate_hz, updated_at) on recordings to aftercall_storage;

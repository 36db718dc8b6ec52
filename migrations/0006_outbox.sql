-- Events that wait for the broker, and answers that wait for a repeated request.

-- Written in the transaction of the command that causes the event; published right after commit, and
-- by the relay in maintenance where that failed. A published row is deleted.
create table outbox (
    account_id uuid not null constraint outbox_account_fkey references accounts (id),
    id uuid not null,
    subject text not null,
    event_type text not null,
    version smallint not null,
    source text not null,
    at timestamptz not null,
    traceparent text,
    data jsonb not null,
    created_at timestamptz not null default now(),
    constraint outbox_pkey primary key (account_id, id)
);
create index outbox_oldest on outbox (created_at);

-- `Idempotency-Key` of the commands: the answer is written in the transaction of the effect.
create table idempotency_keys (
    account_id uuid not null constraint idempotency_keys_account_fkey references accounts (id),
    user_id uuid not null constraint idempotency_keys_user_fkey references users (id),
    path text not null,
    key text not null,
    request_sha256 bytea not null,
    status smallint not null,
    body jsonb not null,
    created_at timestamptz not null default now(),
    constraint idempotency_keys_pkey primary key (account_id, user_id, path, key)
);
create index idempotency_keys_oldest on idempotency_keys (created_at);

alter table outbox enable row level security;
alter table outbox force row level security;
alter table idempotency_keys enable row level security;
alter table idempotency_keys force row level security;

create policy outbox_own on outbox to aftercall_api
    using (account_id = (select app_account())) with check (account_id = (select app_account()));
create policy outbox_relay on outbox to aftercall_maintenance using (true) with check (true);
create policy idempotency_keys_own on idempotency_keys to aftercall_api
    using (account_id = (select app_account()) and user_id = (select app_user()))
    with check (account_id = (select app_account()) and user_id = (select app_user()));
create policy idempotency_keys_sweep on idempotency_keys to aftercall_maintenance using (true);

grant select, insert, delete on outbox to aftercall_api, aftercall_maintenance;
-- FOR UPDATE SKIP LOCKED needs the right to update one column.
grant update (created_at) on outbox to aftercall_maintenance;
grant select, insert on idempotency_keys to aftercall_api;
grant select, delete on idempotency_keys to aftercall_maintenance;

-- What an account allows to be done with recordings and text, and what the person in a session agreed to.

-- A row is made by the first PUT; an account without one has the defaults.
create table account_policies (
    account_id uuid not null constraint account_policies_account_fkey references accounts (id),
    -- Days to keep; null keeps for ever.
    keep_audio_days integer
        constraint account_policies_keep_audio_days check (keep_audio_days between 1 and 36500),
    keep_transcripts_days integer
        constraint account_policies_keep_transcripts_days check (keep_transcripts_days between 1 and 36500),
    keep_analyses_days integer
        constraint account_policies_keep_analyses_days check (keep_analyses_days between 1 and 36500),
    consent_required boolean not null default false,
    -- Engines that may have audio, and text; null is any, an empty list none.
    audio_engines text[],
    text_engines text[],
    -- What withdrawn consent leaves.
    keep_after_withdrawal text[] not null default '{}'
        constraint account_policies_keep_known
        check (keep_after_withdrawal <@ array['recording', 'transcript', 'analysis']),
    updated_at timestamptz not null default clock_timestamp(),
    constraint account_policies_pkey primary key (account_id)
);

-- Whoever manages an account sets its policy, and a person that of their own. Keys manage nothing.
create function app_sets_policy(account uuid) returns boolean
    language sql stable
    return app_role() is not null and exists (
        select from accounts a
        where a.id = account and (app_everywhere() or a.id = any (app_accounts()))
            and (app_oversees() or a.kind = 'personal'));
revoke all on function app_sets_policy from public;
grant execute on function app_sets_policy to aftercall_api;

alter table account_policies enable row level security;
alter table account_policies force row level security;
create policy account_policies_visible on account_policies for select to aftercall_api
    using (app_client() is null and (app_everywhere() or account_id = any (app_accounts())));
create policy account_policies_made on account_policies for insert to aftercall_api
    with check (app_sets_policy(account_id));
create policy account_policies_changed on account_policies for update to aftercall_api
    using (app_sets_policy(account_id)) with check (app_sets_policy(account_id));
create policy account_policies_obeyed on account_policies for select
    to aftercall_transcription, aftercall_analysis, aftercall_maintenance using (true);

grant select, insert on account_policies to aftercall_api;
grant update (keep_audio_days, keep_transcripts_days, keep_analyses_days, consent_required,
    audio_engines, text_engines, keep_after_withdrawal, updated_at) on account_policies to aftercall_api;
grant select on account_policies to aftercall_transcription, aftercall_analysis, aftercall_maintenance;

-- What the person in the session agreed to: {"recording", "ai", "at", "by"}; null where nobody has asked.
-- One column, because the four say one thing and change together.
alter table sessions add column consent jsonb constraint sessions_consent_whole check (
    consent is null or (
        jsonb_typeof(consent) = 'object'
        and consent ?& array['recording', 'ai', 'at', 'by']
        and jsonb_typeof(consent -> 'recording') = 'boolean'
        and jsonb_typeof(consent -> 'ai') = 'boolean'));
grant update (consent) on sessions to aftercall_api;
grant select (consent) on sessions to aftercall_transcription, aftercall_analysis, aftercall_maintenance;

-- A run that the rules forbid: it waits for consent or for a request, and the reconciler leaves it alone.
alter table transcriptions drop constraint transcriptions_state_known;
alter table transcriptions add constraint transcriptions_state_known
    check (state in ('requested', 'done', 'failed', 'skipped'));
alter table analyses drop constraint analyses_state_known;
alter table analyses add constraint analyses_state_known
    check (state in ('requested', 'done', 'failed', 'skipped'));

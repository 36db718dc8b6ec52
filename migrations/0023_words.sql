-- Transcripts that people correct, and the search of what was said.

-- What a correction is: of which generation, by whom, and what it changed (never the text before: that
-- is in the generation it corrects, for as long as it is kept).
alter table transcripts add column corrects integer;
alter table transcripts add column corrected_by uuid
    constraint transcripts_corrected_by_fkey references users (id);
alter table transcripts add column changes jsonb;
alter table transcripts add constraint transcripts_correction_whole
    check (num_nonnulls(corrects, corrected_by, changes) in (0, 3));
grant insert on transcripts to aftercall_api;

-- The words of the newest generation, turn by turn, for the search.
--
-- No text: words are kept as 32 bits of a hash. A GIN index keeps the key of a word for good, when all
-- rows with it are deleted and vacuumed away too, so that plain words of an erased session would stay in
-- the index. So short a hash has many words, and what it finds wrongly is dropped when the text is read.
create table turn_words (
    account_id uuid not null,
    session_id uuid not null,
    generation integer not null,
    -- Place in the transcript, from 0.
    index integer not null,
    -- A text-search configuration by name: pg_upgrade refuses columns of type regconfig.
    config text not null,
    -- Beside the words the id of the account, so that the index answers for one account without walking
    -- through the words of all.
    words tsvector not null,
    constraint turn_words_pkey primary key (account_id, session_id, generation, index),
    constraint turn_words_transcript_fkey foreign key (account_id, session_id, generation)
        references transcripts (account_id, session_id, generation) on delete cascade
);
create index turn_words_words on turn_words using gin (words);

-- Written by a trigger and read by find_turns() alone: no role but the owner reaches it.
alter table turn_words enable row level security;
alter table turn_words force row level security;
create policy turn_words_owner on turn_words to aftercall_owner using (true) with check (true);

-- The configuration for a language (BCP 47): those that come with Postgres, else `simple`, which neither
-- stems nor leaves out a word.
create function search_config(language text) returns text
    language sql stable
    return coalesce((
        select c.cfgname::text
        from (values ('ar', 'arabic'), ('hy', 'armenian'), ('eu', 'basque'), ('ca', 'catalan'),
            ('da', 'danish'), ('nl', 'dutch'), ('en', 'english'), ('et', 'estonian'), ('fi', 'finnish'),
            ('fr', 'french'), ('de', 'german'), ('el', 'greek'), ('hi', 'hindi'), ('hu', 'hungarian'),
            ('id', 'indonesian'), ('ga', 'irish'), ('it', 'italian'), ('lt', 'lithuanian'),
            ('ne', 'nepali'), ('nb', 'norwegian'), ('nn', 'norwegian'), ('no', 'norwegian'),
            ('pt', 'portuguese'), ('ro', 'romanian'), ('ru', 'russian'), ('sr', 'serbian'),
            ('es', 'spanish'), ('sv', 'swedish'), ('ta', 'tamil'), ('tr', 'turkish'), ('yi', 'yiddish')
        ) l (code, name)
        join pg_catalog.pg_ts_config c
            on c.cfgname = l.name and c.cfgnamespace = 'pg_catalog'::regnamespace
        where l.code = lower(split_part(replace(language, '_', '-'), '-', 1))
    ), 'simple');

-- What stands in the index for a word.
create function word_key(word text) returns text
    language sql immutable strict parallel safe
    return to_hex(hashtextextended(word, 0) & 4294967295);

-- The words of a text. Of a very long one the beginning: a tsvector holds 1 MiB at most.
create function words_of(config text, given text) returns tsvector
    language sql stable
    return (
        select coalesce(string_agg(word_key(w.lexeme) || ':' || array_to_string(w.positions, ','), ' '), '')
        from unnest(to_tsvector(config::regconfig, left(given, 50000))) w
    )::tsvector;

-- A search as people type it, over keys of words: its text form with each word replaced. Null where
-- there is no word to look for: one that only excludes words would find nearly everything.
create function query_of(config text, given text) returns tsquery
    language sql stable set client_min_messages = warning
    return (
        select case when querytree(plain) not in ('', 'T') then (
            select string_agg(
                gap.operators || coalesce(word_key(replace(replace(
                    substr(word.quoted[1], 2, length(word.quoted[1]) - 2), '''''', ''''), '\\', '\')), ''),
                '' order by gap.place)
            from regexp_split_to_table(plain::text, '''(?:[^'']|'''')*''') with ordinality gap (operators, place)
            left join regexp_matches(plain::text, '''(?:[^'']|'''')*''', 'g') with ordinality
                word (quoted, place) on word.place = gap.place
        ) end
        from websearch_to_tsquery(config::regconfig, given) plain
    )::tsquery;

-- Keeps turn_words of the newest generation, whoever writes transcripts. One statement however many
-- transcripts come at once: the analytics worker writes them in batches.
create function index_turns() returns trigger
    language plpgsql volatile security definer
    set search_path = pg_catalog, public set client_min_messages = warning
as $$
begin
    delete from turn_words w using added a
        where w.account_id = a.account_id and w.session_id = a.session_id and w.generation < a.generation;
    insert into turn_words (account_id, session_id, generation, index, config, words)
        with newest as materialized (
            select a.account_id, a.session_id, a.generation, search_config(a.language) as config, a.turns
            from added a
            where not exists (select from transcripts n where n.account_id = a.account_id
                and n.session_id = a.session_id and n.generation > a.generation)
        )
        select n.account_id, n.session_id, n.generation, t.place - 1, n.config,
            words_of(n.config, t.turn ->> 'text') || array_to_tsvector(array[n.account_id::text])
        from newest n, jsonb_array_elements(n.turns) with ordinality t (turn, place);
    return null;
end $$;
create trigger transcripts_index_turns after insert on transcripts
    referencing new table as added for each statement execute function index_turns();

-- The turns that a search finds among what the principal sees, best first, after a place in that order;
-- with `originals` only of sessions that they read as it was said (0024): whoever reads placeholders
-- could search for what stands behind them, and learn it from what is found, in which order, or not.
--
-- Not a view, and not the policy's alone: row-level security lets no index answer `@@`, which may tell
-- what it sees by an error, so a search under it reads every row. Here the index answers, what stands in
-- `where` says what the policy sessions_visible says, and whoever asks reads the text under that policy.
create function find_turns(
    given text, originals boolean, after_rank real, after_session uuid, after_index integer, wanted bigint
) returns table (account_id uuid, session_id uuid, generation integer, index integer, rank real)
    language plpgsql stable security definer
    -- A plan for all searches would guess how often their words are said, and read every row.
    set search_path = pg_catalog, public set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
    configs text[];
    queries tsquery[];
    found_by tsquery;
    -- Read once, so that the plan knows them.
    everywhere constant boolean := app_everywhere();
    oversees constant boolean := app_oversees();
    accounts constant uuid[] := app_accounts();
    person constant uuid := app_user();
begin
    -- The same search means other words in each language.
    select array_agg(c.name), array_agg(c.query) into configs, queries
        from (
            select cfgname::text, query_of(cfgname::text, given)
            from pg_ts_config where cfgnamespace = 'pg_catalog'::regnamespace
            offset 0
        ) c (name, query)
        where c.query is not null;
    select ('(' || string_agg(distinct '(' || q::text || ')', ' | ') || ')')::tsquery into found_by
        from unnest(queries) q;
    if found_by is null or app_client() is not null then
        return;
    end if;
    if not everywhere then
        found_by := found_by && (
            select string_agg('''' || a::text || '''', ' | ') from unnest(accounts) a)::tsquery;
    end if;
    return query
        select f.account_id, f.session_id, f.generation, f.index, f.rank
        from (
            select w.account_id, w.session_id, w.generation, w.index, ts_rank(w.words, q.query) as rank
            from turn_words w
            join unnest(configs, queries) q (config, query) on q.config = w.config
            join sessions s on s.account_id = w.account_id and s.id = w.session_id
            where w.words @@ found_by and w.words @@ q.query
                and s.erased_at is null
                and (everywhere or w.account_id = any (accounts))
                and (oversees or s.owner_id = person)
                and (not originals or app_reads_originals(s.owner_id))
        ) f
        where after_rank is null or f.rank < after_rank
            or f.rank = after_rank and (f.session_id < after_session
                or f.session_id = after_session and f.index > after_index)
        order by f.rank desc, f.session_id desc, f.index
        limit wanted;
end $$;

revoke all on function search_config, word_key, words_of, query_of, index_turns, find_turns from public;
grant execute on function search_config, word_key, query_of, find_turns to aftercall_api;

-- What was said before today.
insert into turn_words (account_id, session_id, generation, index, config, words)
    with newest as materialized (
        select distinct on (account_id, session_id)
            account_id, session_id, generation, search_config(language) as config, turns
        from transcripts order by account_id, session_id, generation desc
    )
    select n.account_id, n.session_id, n.generation, t.place - 1, n.config,
        words_of(n.config, t.turn ->> 'text') || array_to_tsvector(array[n.account_id::text])
    from newest n, jsonb_array_elements(n.turns) with ordinality t (turn, place);

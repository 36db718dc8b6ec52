-- The search as in 0023, but for its plan: joined to the queries by their language, every turn that was
-- found was held against each of thirty queries, through a file (five times as slow for a word that is
-- often said).
create or replace function find_turns(
    given text, originals boolean, after_rank real, after_session uuid, after_index integer, wanted bigint
) returns table (account_id uuid, session_id uuid, generation integer, index integer, rank real)
    language plpgsql stable security definer
    -- A plan for all searches would guess how often their words are said, and read every row.
    set search_path = pg_catalog, public set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
    -- Languages that have words to look for, and for each what to look for.
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
            select w.account_id, w.session_id, w.generation, w.index,
                ts_rank(w.words, queries[array_position(configs, w.config)]) as rank
            from turn_words w
            join sessions s on s.account_id = w.account_id and s.id = w.session_id
            where w.words @@ found_by and w.words @@ queries[array_position(configs, w.config)]
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

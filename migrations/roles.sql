-- Roles of the cluster; run by `aftercall provision` as the administrator before the migrations, and
-- again at any time. None may bypass row-level security, and none but the owner owns anything.
-- Processes log in as roles of their own (NOINHERIT), granted one of these, and switch to it inside
-- each transaction, so that a query outside one reaches nothing.
do $$
declare
    name text;
begin
    foreach name in array array[
        'aftercall_owner', 'aftercall_api', 'aftercall_storage', 'aftercall_transcription',
        'aftercall_analysis', 'aftercall_analytics', 'aftercall_maintenance'
    ] loop
        if not exists (select from pg_roles where rolname = name) then
            execute format('create role %I nologin noinherit nobypassrls', name);
        end if;
    end loop;
end $$;

-- Beside procrastinate's own tables. A song's record is text: JSON in ASCII, since a file's name
-- may hold what PostgreSQL's jsonb refuses. What is asked for by itself stands in a column too.

create table if not exists stemwatch_cluster (
    single boolean primary key default true check (single),
    folder text not null  -- a hash of the secret in the data directory that all machines share
);

create table if not exists stemwatch_owner (
    name text primary key,
    spent bigint not null default 0,  -- seconds of audio
    turn bigint not null default 0  -- of the last job: turns_of_keys.py
);

create table if not exists stemwatch_song (
    id text primary key,
    owner text not null references stemwatch_owner (name),
    key text,
    job bigint,  -- in procrastinate_jobs, while it waits or runs
    state text not null,
    credits bigint not null,
    created_at double precision not null,
    finished_at double precision,
    progress real not null default 0,
    record text not null,
    unique (owner, key)
) with (fillfactor = 80);
create index if not exists stemwatch_song_newest on stemwatch_song (owner, created_at desc, id desc);
create index if not exists stemwatch_song_ended on stemwatch_song (finished_at)
    where finished_at is not null;
create index if not exists stemwatch_song_job on stemwatch_song (job) where job is not null;

create table if not exists stemwatch_webhook (
    id text primary key,
    owner text not null,
    url text not null,
    registration text not null  -- JSON
);
create index if not exists stemwatch_webhook_owner on stemwatch_webhook (owner);

create table if not exists stemwatch_owed (
    song text not null references stemwatch_song (id) on delete cascade,
    target text not null,
    calls integer not null default 0,
    due_at timestamptz not null default now(),
    primary key (song, target)
);
create index if not exists stemwatch_owed_due on stemwatch_owed (due_at);

create table if not exists stemwatch_worker (
    id bigint primary key references procrastinate_workers (id) on delete cascade,
    name text not null,
    stall double precision not null,  -- seconds without a heartbeat after which it is taken as gone
    told text not null  -- JSON: engine, device, jobs and so on
);

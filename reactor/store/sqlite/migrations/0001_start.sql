-- Times are seconds since the epoch. A run is claimable when owner is null and due has come; a queued run whose
-- wake is null waits for a slot of its concurrency key: slots are derived from these rows, never counted.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    at REAL NOT NULL,
    origin TEXT NOT NULL,
    flows TEXT NOT NULL,
    invalid TEXT,
    verdicts BLOB NOT NULL,
    event BLOB NOT NULL
);
CREATE TABLE identities (
    source TEXT NOT NULL,
    key TEXT NOT NULL,
    until REAL NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (source, key)
) WITHOUT ROWID;
CREATE INDEX identities_until ON identities (until);
CREATE TABLE dedupe (
    flow TEXT NOT NULL,
    key TEXT NOT NULL,
    until REAL NOT NULL,
    run TEXT NOT NULL,
    PRIMARY KEY (flow, key)
) WITHOUT ROWID;
CREATE INDEX dedupe_until ON dedupe (until);
CREATE TABLE runs (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    flow TEXT NOT NULL,
    version TEXT NOT NULL,
    event TEXT NOT NULL,
    trigger TEXT NOT NULL,
    status TEXT NOT NULL,
    created REAL NOT NULL,
    started REAL,
    ended REAL,
    wake REAL,
    due REAL,
    owner TEXT,
    token INTEGER NOT NULL,
    next_seq INTEGER NOT NULL,
    signal_seq INTEGER NOT NULL,
    concurrency_key TEXT,
    concurrency_limit INTEGER NOT NULL,
    parent TEXT,
    parent_path TEXT,
    environment BLOB,
    events BLOB,
    output BLOB,
    error BLOB,
    response BLOB
);
CREATE INDEX runs_flow ON runs (flow, seq);
CREATE INDEX runs_due ON runs (due) WHERE owner IS NULL AND due IS NOT NULL;
CREATE INDEX runs_alive ON runs (status, seq) WHERE ended IS NULL;
CREATE INDEX runs_ended ON runs (ended) WHERE ended IS NOT NULL;
CREATE INDEX runs_failed ON runs (status, seq) WHERE status IN ('failed', 'cancelled');
CREATE INDEX runs_slot ON runs (flow, concurrency_key, seq) WHERE concurrency_key IS NOT NULL AND ended IS NULL;
CREATE TABLE journal (
    run TEXT NOT NULL,
    seq INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    entries BLOB NOT NULL,
    PRIMARY KEY (run, seq)
) WITHOUT ROWID;
CREATE TABLE signals (
    run TEXT NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (run, seq)
) WITHOUT ROWID;
CREATE TABLE cursors (
    source TEXT NOT NULL,
    item TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (source, item)
) WITHOUT ROWID;
CREATE TABLE plans (
    version TEXT PRIMARY KEY,
    flow TEXT NOT NULL,
    at REAL NOT NULL,
    record BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX plans_flow ON plans (flow, at);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

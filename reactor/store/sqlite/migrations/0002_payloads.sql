-- Which run or event names which file of `payloads/`; a file whose last row goes is removed after the commit.
CREATE TABLE payload_refs (
    sha256 TEXT NOT NULL,
    owner TEXT NOT NULL,
    PRIMARY KEY (sha256, owner)
) WITHOUT ROWID;
CREATE INDEX payload_refs_owner ON payload_refs (owner);
-- Named durable queues. A message is waiting while event is null; then it has a slot until its runs have ended.
CREATE TABLE queue (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    queue TEXT NOT NULL,
    at REAL NOT NULL,
    cause TEXT,
    event TEXT,
    data BLOB NOT NULL
);
CREATE INDEX queue_name ON queue (queue, event, seq);
CREATE INDEX runs_event ON runs (event) WHERE ended IS NULL;

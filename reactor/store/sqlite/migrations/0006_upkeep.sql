-- A run knows its dedupe key, so that a key outlives its run: when a run is removed that failed, the key is free for
-- `reuse: success`.
ALTER TABLE runs ADD COLUMN dedupe_key TEXT;
ALTER TABLE dedupe ADD COLUMN spent INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET dedupe_key = dedupe.key FROM dedupe WHERE dedupe.run = runs.id;
-- Durations count on the daemon's own even time: `due` is in it, `shift` is what the run's own times are ahead of it,
-- `until` is a moment of the wall clock.
ALTER TABLE runs ADD COLUMN shift REAL NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN until REAL;
CREATE INDEX runs_until ON runs (until) WHERE owner IS NULL AND until IS NOT NULL;
-- How many claims of the run ended with their process before anything was written.
ALTER TABLE runs ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
CREATE INDEX runs_lost ON runs (lost) WHERE lost > 1;
-- Slots of a concurrency key are found without a look at those that wait for one.
DROP INDEX runs_slot;
CREATE INDEX runs_slot ON runs (flow, concurrency_key, seq)
    WHERE concurrency_key IS NOT NULL AND ended IS NULL AND (status <> 'queued' OR wake IS NOT NULL);
CREATE INDEX runs_turn ON runs (flow, concurrency_key, seq)
    WHERE concurrency_key IS NOT NULL AND status = 'queued' AND wake IS NULL;

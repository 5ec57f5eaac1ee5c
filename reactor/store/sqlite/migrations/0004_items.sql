-- The flows' own data: small values by collection and key.
CREATE TABLE items (
  collection TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, version INTEGER NOT NULL, at REAL NOT NULL, writer TEXT,
  PRIMARY KEY (collection, key)
) WITHOUT ROWID;

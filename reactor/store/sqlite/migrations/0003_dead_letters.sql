-- Dead letters are listed without a look at all events.
CREATE INDEX events_invalid ON events (seq) WHERE invalid IS NOT NULL;

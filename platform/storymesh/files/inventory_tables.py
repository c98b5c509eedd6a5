"""The tables of an inventory, and what is asked of them."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    uri TEXT PRIMARY KEY, token TEXT, size INTEGER, modified INTEGER, path BLOB, sha256 TEXT,
    refused TEXT, detail TEXT, passing INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS readings (
    sha256 TEXT PRIMARY KEY, batch INTEGER, refused TEXT, detail TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (id INTEGER PRIMARY KEY, rows INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS readings_in_batch ON readings (batch) WHERE batch IS NOT NULL;
DROP INDEX IF EXISTS readings_of_batch;
"""
PENDING = """
FROM listed l LEFT JOIN files f ON f.uri = l.uri LEFT JOIN readings r ON r.sha256 = f.sha256
WHERE l.fault IS NULL AND (
    f.uri IS NULL OR l.token IS NULL OR f.token IS NOT l.token OR f.passing
    OR (f.refused IS NULL AND r.sha256 IS NULL)
)
"""
ALL_PENDING = "FROM listed l WHERE l.fault IS NULL"
KNOWN = (
    "SELECT f.uri, f.size, f.modified, f.sha256, coalesce(f.refused, r.refused), coalesce(f.detail, r.detail),"
    " f.passing FROM files f LEFT JOIN readings r ON r.sha256 = f.sha256"
)

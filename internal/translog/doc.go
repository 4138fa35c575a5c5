// Package translog puts the entries that the journal and its triggers have written into a transparency log: an RFC 6962 tree, published as
// C2SP tlog-tiles with signed checkpoints. docs/transparency-log.md has the formats, docs/adr/0025 the reasons.
//
// Nothing of it is on the write path. One integrator at a time takes what is committed, in the order of the rows, gives it dense indexes, writes
// tiles, reads them again, proves that the new tree extends the old one, and only then signs. What it has signed is kept in a store that is not
// Postgres, so that a database that was set back cannot make it sign another history.
package translog

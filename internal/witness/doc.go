// Package witness has both sides of cosignatures: a witness, which signs that it has never seen a log go back on what it said, and the
// log's side, which asks witnesses and knows when there are enough of them.
//
// The protocol is C2SP's: tlog-witness (requests and statuses), tlog-cosignature (the timestamped Ed25519 signature, cosignature/v1),
// tlog-checkpoint and signed-note (what is signed), tlog-policy (the file that says whose cosignatures are needed). Trees and consistency proofs are
// those of RFC 6962, section 2.1.
//
// # A witness
//
// [Open] opens the witness of a directory, whose key [CreateKey] has made; [Witness.Handler] and [Witness.Serve] offer it over HTTP. For each log
// it keeps the last checkpoint that it has accepted, and moves on only to one that is proved to continue it. The order of steps is what its promise rests on:
//
//	lock the log's file → read the last checkpoint → judge → write the new one, fsync, rename, fsync → sign → answer
//
// So whatever step a crash or another process of the same directory cuts in at, there is no signature of a checkpoint that a later start
// would not know of, and no two roots of one size are ever cosigned. What cannot be noticed from inside is a directory that somebody restores from
// an old backup: it must not be.
//
// A log that shows two faces is refused, and what it signed is kept as [Evidence], which anybody can check offline.
//
// # The log's side
//
// A [Policy] names witnesses, and how many of which must have cosigned. A [Collector] asks all of them at once, takes only signatures that it
// has verified, and waits for none that hangs. [Policy.Check] is what a verifier does with the result.
package witness

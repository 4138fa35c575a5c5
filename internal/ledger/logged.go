//go:build !ballast_measure_without_log

package ledger

// logged says that every transaction writes its entry for the log. It is a constant of the program, since nothing that runs may turn it off; cmd/bench alone builds one
// without, to measure what it costs, on a database whose guard against that it has taken away.
const logged = true

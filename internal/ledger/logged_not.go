//go:build ballast_measure_without_log

package ledger

const logged = false

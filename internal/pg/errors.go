package pg

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"
)

// SQLSTATEs that decide something here (PostgreSQL's documentation, appendix A).
const (
	codeSerializationFailure = "40001"
	codeStatementUnknown     = "40003" // CockroachDB: the commit's result is ambiguous.
	codeDeadlock             = "40P01"
	codeUniqueViolation      = "23505"
	codeCheckViolation       = "23514"
	codeReadOnly             = "25006" // A standby, or a primary that a failover has just demoted.
	codeIOError              = "58030"

	classConnection = "08"
	classResources  = "53"  // Disk full, out of memory, too many connections.
	classShutdown   = "57P" // Admin shutdown, crash shutdown, cannot connect now, database dropped, idle timeout.
)

// IsRetryable reports whether Postgres rolled the transaction back only because it ran beside others
// (serialization failure, deadlock), so that the whole of it may be tried again. It is false for an ambiguous
// commit, which must never be repeated blindly.
func IsRetryable(err error) bool {
	code := sqlState(err)
	return !IsAmbiguous(err) && (code == codeSerializationFailure || code == codeDeadlock)
}

// IsUniqueViolation reports whether err is a duplicate under the unique constraint or index of that name. An empty
// name stands for any.
func IsUniqueViolation(err error, constraint string) bool {
	return isViolation(err, codeUniqueViolation, constraint)
}

// IsCheckViolation reports whether err is a value refused by the check constraint of that name. An empty name
// stands for any.
func IsCheckViolation(err error, constraint string) bool {
	return isViolation(err, codeCheckViolation, constraint)
}

func isViolation(err error, code, constraint string) bool {
	return sqlState(err) == code && (constraint == "" || ConstraintName(err) == constraint)
}

// ConstraintName returns the name of the constraint that err says was violated, or "" if it says none.
// Triggers can give one too (RAISE … USING CONSTRAINT), which makes their refusals recognisable.
func ConstraintName(err error) string {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pgErr.ConstraintName
	}
	return ""
}

// IsUnavailable reports whether err says that the database cannot serve at present, rather than that it judged the
// statement: no connection could be made or it broke, the server starts up or shuts down, is out of connections,
// memory or disk, or is a read-only standby. Answer such requests with 503 and let the client come back. The
// statement may have taken effect if it was a COMMIT; see IsUnknownOutcome.
func IsUnavailable(err error) bool {
	if err == nil {
		return false
	}
	if code := sqlState(err); code != "" {
		return isUnavailableCode(code) || isConnectError(err)
	}
	return isConnectError(err) || isBrokenConnection(err)
}

func isUnavailableCode(code string) bool {
	return code == codeReadOnly || code == codeIOError ||
		strings.HasPrefix(code, classConnection) ||
		strings.HasPrefix(code, classResources) ||
		strings.HasPrefix(code, classShutdown)
}

func isConnectError(err error) bool {
	_, ok := errors.AsType[*pgconn.ConnectError](err)
	return ok
}

func isBrokenConnection(err error) bool {
	for _, target := range []error{
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, pgconn.ErrConnClosed, puddle.ErrClosedPool,
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE, syscall.ETIMEDOUT,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// isStaleConnection reports whether a connection that had been made before turned out to be broken.
func isStaleConnection(err error) bool {
	if isConnectError(err) || errors.Is(err, puddle.ErrClosedPool) {
		return false
	}
	return isBrokenConnection(err) || strings.HasPrefix(sqlState(err), classShutdown)
}

// IsUnknownOutcome judges the error that a COMMIT returned (sent on its own or at the end of a pipeline): it is true
// unless the server, or the fact that nothing was sent, proves that the transaction did not commit. A broken
// connection, a time-out while waiting for the reply, a server that shuts down, and whatever is not recognised are
// all unknown outcomes: to call a committed transaction failed would lose value. Do not ask it about errors of
// other statements.
func IsUnknownOutcome(err error) bool {
	switch {
	case err == nil:
		return false
	case IsAmbiguous(err):
		return true
	case errors.Is(err, pgx.ErrTxClosed), errors.Is(err, pgx.ErrTxCommitRollback):
		return false
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return isUnknownVerdict(pgErr)
	}
	return !pgconn.SafeToRetry(err)
}

// isUnknownVerdict relies on this: an ERROR during COMMIT is raised before the commit record is written, and rolls
// back. FATAL and PANIC end the session, possibly after the record is on disk (while waiting for a
// synchronous standby, for instance). A pooler reports the loss of its server as FATAL too.
func isUnknownVerdict(pgErr *pgconn.PgError) bool {
	return pgErr.SeverityUnlocalized != "ERROR" ||
		pgErr.Code == codeStatementUnknown ||
		strings.HasPrefix(pgErr.Code, classConnection) ||
		strings.HasPrefix(pgErr.Code, classShutdown)
}

func sqlState(err error) string {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pgErr.Code
	}
	return ""
}

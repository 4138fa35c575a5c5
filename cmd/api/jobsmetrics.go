package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-compute/ballast/internal/jobs"
)

// jobsMetrics is the job runner's observer. A sweep is run by one process or another: add up the counters of all, and take the
// greatest of the times.
type jobsMetrics struct {
	runs        *prometheus.CounterVec
	done        *prometheus.CounterVec
	took        *prometheus.HistogramVec
	lastSuccess *prometheus.GaugeVec
}

// The outcomes of a run.
const (
	outcomeOK          = "ok"
	outcomeFailed      = "failed"
	outcomeInterrupted = "interrupted"
)

// newJobsMetrics begins every series at zero, so that an alert on one that never moves sees it.
func newJobsMetrics(registry prometheus.Registerer, table jobs.Table) *jobsMetrics {
	m := &jobsMetrics{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ballast_job_runs_total", Help: "Runs of each sweep by this process, by outcome: ok, failed, or interrupted when the process stopped.",
		}, []string{"sweep", "outcome"}),
		done: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ballast_job_done_total", Help: "Things that each sweep found due and did.",
		}, []string{"sweep"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ballast_job_duration_seconds", Help: "How long each run of a sweep took.",
			Buckets: prometheus.ExponentialBuckets(.001, 4, 10),
		}, []string{"sweep"}),
		lastSuccess: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ballast_job_last_success_timestamp_seconds", Help: "When this process last ran each sweep with success; 0: not yet.",
		}, []string{"sweep"}),
	}
	registry.MustRegister(m.runs, m.done, m.took, m.lastSuccess)
	for _, job := range table {
		for _, sweep := range job.Sweeps {
			for _, outcome := range []string{outcomeOK, outcomeFailed, outcomeInterrupted} {
				m.runs.WithLabelValues(sweep.Name, outcome)
			}
			m.done.WithLabelValues(sweep.Name)
			m.took.WithLabelValues(sweep.Name)
			m.lastSuccess.WithLabelValues(sweep.Name)
		}
	}
	return m
}

// Swept implements jobs.Observer.
func (m *jobsMetrics) Swept(o jobs.Outcome) {
	outcome := outcomeFailed
	switch {
	case o.Interrupted():
		outcome = outcomeInterrupted
	case o.Err == nil:
		outcome = outcomeOK
		m.lastSuccess.WithLabelValues(o.Sweep).SetToCurrentTime()
	}
	m.runs.WithLabelValues(o.Sweep, outcome).Inc()
	m.done.WithLabelValues(o.Sweep).Add(float64(max(o.Done, 0)))
	m.took.WithLabelValues(o.Sweep).Observe(o.Took.Seconds())
}

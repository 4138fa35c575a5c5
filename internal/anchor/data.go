package anchor

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"fmt"
	"slices"
)

// The data of the first epoch. data/README.md says where it comes from, and its licence.
var (
	//go:embed data/gpu-classes.csv
	classesCSV []byte
	//go:embed data/gpu-quotes.csv
	quotesCSV []byte
)

// The definition of SCH in the first epoch.
const firstReference = "H100-SXM-80GB"

var firstExponents = Exponents{Compute: "0.5", Bandwidth: "0.3", Memory: "0.2"}

// classRecord is a row of gpu-classes.csv.
type classRecord struct {
	ClassInput
	vendor, interconnect, source string
}

func embeddedClasses() ([]classRecord, error) {
	rows, err := readCSV(classesCSV, "gpu_class", "vendor", "memory_gb", "memory_bandwidth_tb_s", "bf16_dense_tflops", "interconnect", "source")
	if err != nil {
		return nil, fmt.Errorf("gpu-classes.csv: %w", err)
	}
	records := make([]classRecord, len(rows))
	for i, r := range rows {
		records[i] = classRecord{
			ClassInput: ClassInput{GPUClass: r[0], MemoryGB: r[2], BandwidthTBs: r[3], BF16TFLOPS: r[4]},
			vendor:     r[1], interconnect: r[5], source: r[6],
		}
	}
	return records, nil
}

func embeddedQuotes() ([]Quote, error) {
	rows, err := readCSV(quotesCSV, "source", "gpu_class", "form_factor_known", "gpu_count", "instance_type", "region",
		"price_usd_per_hour", "price_usd_per_gpu_hour", "spot_usd_per_hour", "catalog_commit")
	if err != nil {
		return nil, fmt.Errorf("gpu-quotes.csv: %w", err)
	}
	quotes := make([]Quote, len(rows))
	for i, r := range rows {
		quotes[i] = Quote{
			Source: r[0], GPUClass: r[1], GPUCount: r[3], InstanceType: r[4], Region: r[5], PriceUSD: r[6], SpotUSD: r[8], Commit: r[9],
		}
	}
	return quotes, nil
}

// FirstInputs returns what the first epoch is computed from.
func FirstInputs() (Inputs, error) {
	classes, err := embeddedClasses()
	if err != nil {
		return Inputs{}, err
	}
	quotes, err := embeddedQuotes()
	if err != nil {
		return Inputs{}, err
	}
	in := Inputs{ReferenceClass: firstReference, Exponents: firstExponents, Quotes: quotes}
	for _, c := range classes {
		in.Classes = append(in.Classes, c.ClassInput)
	}
	return in, nil
}

// readCSV returns the rows below a header that has exactly these columns.
func readCSV(file []byte, columns ...string) ([][]string, error) {
	rows, err := csv.NewReader(bytes.NewReader(file)).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 || !slices.Equal(rows[0], columns) {
		return nil, fmt.Errorf("%w: the header is not %v", ErrInputs, columns)
	}
	return rows[1:], nil
}

package httpapi

import (
	"net/http"

	"github.com/ballast-compute/ballast/api"
	"github.com/ballast-compute/ballast/internal/httpapi/docs"
)

// getOpenAPI sends the contract that this server was built from.
func getOpenAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml")
	_, err := w.Write(api.Spec)
	return err
}

// docsHandler sends the page that shows the contract, and its script.
var docsHandler = docs.Handler()

func getDocs(w http.ResponseWriter, r *http.Request) error {
	docsHandler.ServeHTTP(w, r)
	return nil
}

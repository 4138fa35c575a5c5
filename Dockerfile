# syntax=docker/dockerfile:1

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=""
RUN CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags="-s -w -X main.release=${VERSION}" -o /out/api ./cmd/api

# No shell, no package manager, and a user without rights.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/api /api
ENV BALLAST_ADDR=0.0.0.0:8080
EXPOSE 8080
USER nonroot:nonroot
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=4s --start-period=30s --retries=3 CMD ["/api", "healthcheck"]
ENTRYPOINT ["/api"]
CMD ["serve"]

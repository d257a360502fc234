//! The Envoy data plane: plans xDS resources from routes and serves them by delta ADS.

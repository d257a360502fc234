//! Whole networks of real processes: harness and topologies.

//! See README.md beside this file.

mod fixed;
mod flow;
mod frames;
mod lab;
mod narrow;
mod refused;
mod restart;
mod rivals;
mod rotation;
mod sealed;
mod stopped;
mod ways;

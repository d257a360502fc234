//! Compiles the .proto files with protox: no protoc is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(
        [
            "catalyst/admin/v1/admin.proto",
            "catalyst/admin/v1/complete.proto",
            "catalyst/admin/v1/explain.proto",
            "catalyst/admin/v1/operate.proto",
            "catalyst/admin/v1/tunnels.proto",
            "catalyst/gateway/v1/gateway.proto",
            "catalyst/plugin/v1/plugin.proto",
        ],
        ["proto"],
    )?;
    tonic_prost_build::configure().compile_fds(files)?;
    Ok(())
}

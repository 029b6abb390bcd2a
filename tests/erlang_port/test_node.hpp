// A plain Erlang node for tests, known to an epmd of their own, with or without a fake plugin.
#pragma once

#include "erlang_port/node_connection.hpp"
#include "tests/harness/process.hpp"
#include "tests/harness/temp_dir.hpp"

#include <memory>
#include <string>
#include <vector>

namespace test_node {

struct Options {
    bool long_names = false;
    bool fake_plugin = true;
    std::vector<std::string> arguments = {};  // further ones of erl
};

class Node {
public:
    // Returns once the node can be connected to.
    explicit Node(Options options = {});

    const std::string& name() const noexcept { return name_; }
    harness::Process& process() { return *process_; }
    // What connects to it.
    erlang::NodeOptions connect() const;

private:
    harness::TempDir home_;
    std::string name_;
    bool long_names_;
    std::unique_ptr<harness::Process> process_;
};

// Starts the epmd of this test program, once, and sets ERL_EPMD_PORT to its port.
void start_epmd();

}  // namespace test_node

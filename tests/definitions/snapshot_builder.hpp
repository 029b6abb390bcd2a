// Snapshots made by hand: the records of RabbitMQ as terms, items, chunks, and a source that hands
// out the bytes.
#pragma once

#include "erlang_port/term.hpp"
#include "sidecar/definitions/snapshot_source.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace snapshot_builder {

using erlang::Term;

// Hands out `bytes` in pieces of at most `piece` bytes, each in memory of its own, so that a
// sanitizer sees a piece used too long.
class MemorySource : public hot_backup::SnapshotSource {
public:
    explicit MemorySource(std::string bytes, std::size_t piece = 1 << 20)
        : bytes_(std::move(bytes)), piece_size_(piece) {}

    void rewind() override { position_ = 0; }
    std::optional<std::string_view> next() override;

private:
    std::string bytes_;
    std::size_t piece_size_;
    std::size_t position_ = 0;
    std::vector<char> piece_;
};

// The bytes of a chunk.
std::string chunk(const std::vector<Term>& items);
std::string payload(const std::vector<Term>& items);

// `{Table, Key}`.
Term deletion(std::string_view table, Term key);
// `{put, Path, {p_data, Data}, #{}}`; atoms in `path` begin with a colon.
Term put(const std::vector<std::string_view>& path, Term data);

Term resource(std::string_view vhost, std::string_view kind, std::string_view name);
// `{internal_user, Name, Hash, Tags, rabbit_password_hashing_sha256, #{}}`.
Term user(std::string_view name, std::vector<Term> tags = {});
Term vhost(std::string_view name);
// As amqqueue v2.
Term queue(std::string_view vhost, std::string_view name, Term arguments = Term());
// Of the owner of an exclusive queue.
Term some_pid();
Term exchange(std::string_view vhost, std::string_view name, Term arguments = Term());
// `{binding, ...}` from an exchange to a queue.
Term binding(std::string_view vhost, std::string_view source, std::string_view destination,
             std::string_view key, Term arguments = Term());
// `{route, Binding, const}`.
Term route(Term binding);
Term parameter(std::string_view vhost, std::string_view component, std::string_view name,
               Term value);
Term global_parameter(std::string_view name, Term value);
// A property list as the value of a policy.
Term policy_value(std::string_view pattern, Term definition);

// The record as its table stores it: the table's name in place of the record's.
Term in_table(std::string_view table, Term record);

// Replaces element n (from 0) of a tuple.
Term with(Term tuple, std::size_t n, Term element);

}  // namespace snapshot_builder

// How RabbitMQ writes each kind of file of a node's data directory, and so how a copy of a live one
// is made exact. The one table of these rules is in file_rules.cpp, each with its reason.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace hot_backup {

enum class CopyRule : std::uint8_t {
    // Bytes below the length never change: what is copied stays good, and in the stop only the
    // length is taken.
    append_only,
    // Raft's write-ahead log: append_only too, but where Ra allocated it ahead its length says
    // nothing: then its entries tell where it ends (raft_log.hpp).
    raft_log,
    // A Raft log segment: the index at its front fills in place, the rest only grows.
    raft_segment,
    // The journal of a version 1 queue: it grows until it is truncated, and then begins anew, with
    // other bytes.
    journal,
    // A file of the classic message store: the highest number of its directory only grows, any
    // other one may be rewritten in place.
    message_store,
    // Anything may change, also what no rule knows: copied whole, in the stop into memory.
    in_place,
    // While one of these is there, RabbitMQ 3.x is moving messages between files in a way that its
    // own recovery does not always survive: no cut is made.
    combine_in_flight,
    // No part of an image.
    left_out,
};

// The parts of a node's data directory that have rules of their own. Who writes a file there is
// known by the first directory of its path that has one of their names.
enum class Area : std::uint8_t { any, message_stores, raft, streams };
Area area_of_directory(std::string_view name);
Area area_of(std::string_view image_path);

// The rule for a file by its path in the image, such as
// "data/quorum/rabbit@a/UID/00000001.segment".
CopyRule rule_for(std::string_view image_path);

// The number of a message store's file ("17.rdq" is 17); nothing for another name.
std::optional<std::uint64_t> message_store_number(std::string_view image_path);

inline constexpr std::uint64_t raft_header_size = 8;

// How much of the front of a Raft segment its index may cover, in bytes, by its header (the
// first bytes of the file); nothing when they are not those of a segment.
std::optional<std::uint64_t> raft_index_end(std::string_view header);

}  // namespace hot_backup

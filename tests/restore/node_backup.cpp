#include "tests/restore/node_backup.hpp"

#include "tests/repository/sample.hpp"

#include <algorithm>
#include <fstream>

namespace restore_test {

using namespace hot_backup;
namespace fs = std::filesystem;

namespace {

std::string origin_of(const std::string& path) {
    return original + (path.starts_with("data/") ? path.substr(4) : "/" + path);
}

}  // namespace

NodeBackup::NodeBackup()
    : summary(repository_test::sample_summary()),
      repository_(Repository::open_or_create(posix_file_system(), files_ / "repository")),
      time_(now()) {
    fs::create_directory(parent());
    summary.data_dir = original;
    root("data", original);
}

NodeBackup& NodeBackup::root(const std::string& name, const std::string& origin) {
    planned_.push_back({{name, "directory", 0, Origin{origin, 0750, time_}, {}, {}}, {}});
    return *this;
}

NodeBackup& NodeBackup::directory(const std::string& path, unsigned mode) {
    planned_.push_back({{path, "directory", 0, Origin{origin_of(path), mode, time_}, {}, {}}, {}});
    return *this;
}

NodeBackup& NodeBackup::file(const std::string& path, const std::string& content, unsigned mode) {
    const std::string origin =
        path == "feature_flags" ? original + "-feature_flags" : origin_of(path);
    planned_.push_back({{path, "data", 0, Origin{origin, mode, time_}, {}, {}}, content});
    return *this;
}

NodeBackup& NodeBackup::link(const std::string& path, const std::string& target) {
    planned_.push_back(
        {{path, "symlink", 0, Origin{origin_of(path), 0777, time_}, {}, target}, {}});
    return *this;
}

NodeBackup& NodeBackup::at(Timestamp time) {
    time_ = time;
    return *this;
}

NodeBackup& NodeBackup::configuration(const std::string& path, const std::string& content) {
    planned_.push_back({{"configuration/" + path,
                         "configuration",
                         0,
                         Origin{"/etc/rabbitmq/" + path, 0644, time_},
                         {},
                         {}},
                        content});
    return *this;
}

std::string NodeBackup::write() {
    const Lock lock(repository_.file_system(), repository_.directory(), "create");
    BackupWriter writer(repository_, lock);
    for (Planned& planned : planned_) {
        planned.entry.extents.clear();
        planned.entry.size = planned.content.size();
        for (std::size_t at = 0; at < planned.content.size(); at += extent_size) {
            planned.entry.extents.push_back(
                writer.store(std::string_view(planned.content).substr(at, extent_size)));
        }
        writer.add_entry(planned.entry);
    }
    auto metadata = writer.add_file("metadata/snapshot", "metadata");
    metadata.append("items");
    metadata.close();
    writer.publish(summary);
    return writer.id();
}

void NodeBackup::damage(const std::string& backup, const std::string& path,
                        std::size_t extent) const {
    const Extent place = repository_.find_file(backup, path).extents.at(extent);
    std::fstream pack(repository_.pack_path(place.pack.text()),
                      std::ios::in | std::ios::out | std::ios::binary);
    const auto middle = static_cast<std::streamoff>(place.offset + place.size / 2);
    pack.seekg(middle);
    const auto byte = static_cast<char>(pack.get() ^ 1);
    pack.seekp(middle);
    pack.put(byte);
}

std::vector<std::string> NodeBackup::around() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(parent())) {
        names.push_back(entry.path().filename());
    }
    std::ranges::sort(names);
    return names;
}

RestoredNode NodeBackup::restore(const std::string& backup, RestoreOptions options,
                                 const RestoreCallbacks& callbacks) const {
    if (options.target.empty()) {
        options.target = target();
    }
    return restore_node(repository_, backup, options, callbacks);
}

NodeBackup& with_node_files(NodeBackup& backup) {
    using repository_test::sample_bytes;
    const std::string store = "data/msg_stores/vhosts/VHOST/msg_store_persistent";
    const std::string queue = "data/msg_stores/vhosts/VHOST/queues/QUEUE";
    const std::string raft = "data/quorum/rabbit@here";
    const std::string stream = "data/stream/__s_1";
    for (const auto& path :
         {std::string("data/msg_stores"), std::string("data/msg_stores/vhosts"),
          std::string("data/msg_stores/vhosts/VHOST"), store,
          std::string("data/msg_stores/vhosts/VHOST/queues"), queue, std::string("data/quorum"),
          raft, raft + "/ONE", raft + "/ONE/snapshots", raft + "/TWO", std::string("data/stream"),
          stream}) {
        backup.directory(path);
    }
    unsigned seed = 0;
    for (const auto& path : {std::string("data/LATEST.LOG"),
                             std::string("data/schema.DAT"),
                             store + "/0.rdq",
                             store + "/1.rdq",
                             queue + "/0.qi",
                             queue + "/0.qs",
                             queue + "/1.qi",
                             queue + "/1.qs",
                             queue + "/0.idx",
                             queue + "/1.idx",
                             queue + "/journal.jif",
                             raft + "/00000001.wal",
                             raft + "/00000002.wal",
                             raft + "/00000003.wal",
                             raft + "/names.dets",
                             raft + "/ONE/00000001.segment",
                             raft + "/ONE/00000002.segment",
                             raft + "/ONE/snapshots/snapshot.dat",
                             raft + "/TWO/00000001.segment",
                             stream + "/00000000000000000000.segment",
                             stream + "/00000000000000000000.index",
                             stream + "/00000000000000000100.segment",
                             stream + "/00000000000000000100.index",
                             stream + "/00000000000000000200.segment",
                             stream + "/00000000000000000200.index"}) {
        backup.file(path, sample_bytes(2500, ++seed));
    }
    return backup.file("feature_flags", "[].\n", 0644)
        .configuration("rabbitmq.conf", "listeners.tcp.default = 5672\n")
        .configuration("conf.d/10-more.conf", "log.console = true\n");
}

}  // namespace restore_test

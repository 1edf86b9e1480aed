// A DDS participant with the keys of an enclave that opens what it is told to and says what came of it: for security.py.
//
//   security_probe ENCLAVE_FOLDER|- DOMAIN SECONDS [publish:TOPIC | subscribe:TOPIC]...
//
// Prints "made ..." or "REFUSED ..." for each, sends on all it made for a while, and at the end "heard TOPIC" of those
// that something came on. It needs a Fast DDS 2 that is built with security, such as Debian's libfastrtps-dev.

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fastdds/dds/domain/DomainParticipant.hpp>
#include <fastdds/dds/domain/DomainParticipantFactory.hpp>
#include <fastdds/dds/publisher/DataWriter.hpp>
#include <fastdds/dds/publisher/Publisher.hpp>
#include <fastdds/dds/subscriber/DataReader.hpp>
#include <fastdds/dds/subscriber/SampleInfo.hpp>
#include <fastdds/dds/subscriber/Subscriber.hpp>
#include <fastdds/dds/topic/TopicDataType.hpp>
#include <iostream>
#include <set>
#include <string>
#include <thread>
#include <vector>

using namespace eprosima::fastdds::dds;
using eprosima::fastrtps::rtps::InstanceHandle_t;
using eprosima::fastrtps::rtps::SerializedPayload_t;

// One number; what is sent does not matter.
struct NumberType : TopicDataType {
  NumberType() {
    setName("Number");
    m_typeSize = 8;
    m_isGetKeyDefined = false;
  }
  bool serialize(void* data, SerializedPayload_t* payload) override {
    std::memcpy(payload->data, "\0\1\0\0", 4);  // little-endian CDR
    std::memcpy(payload->data + 4, data, 4);
    payload->length = 8;
    return true;
  }
  bool deserialize(SerializedPayload_t* payload, void* data) override {
    std::memcpy(data, payload->data + 4, 4);
    return true;
  }
  std::function<uint32_t()> getSerializedSizeProvider(void*) override {
    return [] { return 8u; };
  }
  void* createData() override { return new uint32_t(); }
  void deleteData(void* data) override { delete static_cast<uint32_t*>(data); }
  bool getKey(void*, InstanceHandle_t*, bool) override { return false; }
};

DomainParticipantQos secured(const std::string& folder) {
  DomainParticipantQos qos;
  auto& properties = qos.properties().properties();
  const std::string keys = "dds.sec.auth.builtin.PKI-DH.", access = "dds.sec.access.builtin.Access-Permissions.";
  const auto file = [&](const char* name) { return "file://" + folder + "/" + name; };
  properties.emplace_back("dds.sec.auth.plugin", "builtin.PKI-DH");
  properties.emplace_back("dds.sec.crypto.plugin", "builtin.AES-GCM-GMAC");
  properties.emplace_back("dds.sec.access.plugin", "builtin.Access-Permissions");
  properties.emplace_back(keys + "identity_ca", file("identity_ca.cert.pem"));
  properties.emplace_back(keys + "identity_certificate", file("cert.pem"));
  properties.emplace_back(keys + "private_key", file("key.pem"));
  properties.emplace_back(access + "permissions_ca", file("permissions_ca.cert.pem"));
  properties.emplace_back(access + "governance", file("governance.p7s"));
  properties.emplace_back(access + "permissions", file("permissions.p7s"));
  return qos;
}

int main(int argc, char** argv) {
  const std::string folder = argv[1];
  const auto qos = folder == "-" ? DomainParticipantQos() : secured(folder);
  auto* participant = DomainParticipantFactory::get_instance()->create_participant(std::stoi(argv[2]), qos);
  if (!participant) {
    std::cout << "REFUSED participant" << std::endl;
    return 0;
  }
  TypeSupport type(new NumberType());
  type.register_type(participant);
  auto* publisher = participant->create_publisher(PUBLISHER_QOS_DEFAULT);
  auto* subscriber = participant->create_subscriber(SUBSCRIBER_QOS_DEFAULT);
  DataWriterQos write;
  DataReaderQos read;
  write.reliability().kind = read.reliability().kind = RELIABLE_RELIABILITY_QOS;
  std::vector<DataWriter*> writers;
  std::vector<std::pair<std::string, DataReader*>> readers;
  for (int i = 4; i < argc; ++i) {
    const std::string wish = argv[i], name = wish.substr(wish.find(':') + 1);
    auto* topic = static_cast<Topic*>(participant->lookup_topicdescription(name));
    topic = topic ? topic : participant->create_topic(name, "Number", TOPIC_QOS_DEFAULT);
    bool made = false;
    if (wish.rfind("publish:", 0) == 0) {
      auto* writer = publisher->create_datawriter(topic, write);
      if ((made = writer)) writers.push_back(writer);
    } else {
      auto* reader = subscriber->create_datareader(topic, read);
      if ((made = reader)) readers.emplace_back(name, reader);
    }
    std::cout << (made ? "made " : "REFUSED ") << wish << std::endl;
  }
  std::set<std::string> heard;
  uint32_t number = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(std::stod(argv[3]));
  while (std::chrono::steady_clock::now() < end) {
    ++number;
    for (auto* writer : writers) writer->write(&number);
    for (auto& [name, reader] : readers) {
      uint32_t received;
      SampleInfo info;
      while (reader->take_next_sample(&received, &info) == ReturnCode_t::RETCODE_OK)
        if (info.valid_data) heard.insert(name);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  for (const auto& name : heard) std::cout << "heard " << name << std::endl;
  std::_Exit(0);  // the other side may be gone: nothing is to be said at the end
}

#include "gateway/http1/field_table.hpp"

namespace millrace::http1 {

void FieldTable::rebase(const char* old_base, const char* new_base) {
    for (auto& field : fields_) {
        field.name = rebased(field.name, old_base, new_base);
        field.value = rebased(field.value, old_base, new_base);
    }
}

}  // namespace millrace::http1

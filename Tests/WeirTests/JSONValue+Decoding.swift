// Lets a test write a request as text and have it decoded as the demo upstream does.

import Foundation
import Stack

extension JSONValue {
    func decoded<Value: Decodable>(as type: Value.Type) throws -> Value {
        try JSONDecoder().decode(type, from: Data(bytes))
    }
}
